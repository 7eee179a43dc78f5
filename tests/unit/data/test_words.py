"""Words of a text, and sets that have many in common."""

import numpy as np

from tunewise.data.words import WordLists, similar_pairs, split_words, unique_pairs


def test_words_are_case_folded_and_numbers_and_currencies_stay_whole():
    assert split_words("Don't pay $1,299.00, OK?") == ["don't", "pay", "$", "1,299.00", "ok"]
    assert split_words("ＦＵＬＬ width… 12:30") == ["full", "width", "12:30"]
    assert split_words("?!") == []


def test_sets_with_most_words_in_common_meet_and_others_do_not():
    sets = [[f"w{number}" for number in range(start, start + 20)] for start in (0, 2, 100, 102, 500)]
    lists = WordLists.of([*sets, []])
    pairs = unique_pairs(*similar_pairs(lists.hashes(), lists.starts, 12, 4, 4))
    assert pairs.tolist() == [[0, 1], [2, 3]]


def test_nothing_is_similar_to_nothing():
    lists = WordLists.of([])
    assert list(similar_pairs(lists.hashes(), lists.starts, 2, 2, 2)) == []


def test_lists_are_selected_as_they_were():
    chosen = WordLists.of([["a", "b"], ["c"], ["a", "c"]]).select(np.array([0, 2]))
    assert [chosen.words[word] for word in chosen.ids] == ["a", "b", "a", "c"]
    assert chosen.starts.tolist() == [0, 2, 4]
