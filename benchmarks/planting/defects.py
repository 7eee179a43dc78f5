"""Each kind of defect of a row, as it comes about: what a clean row looks like once it has it.

A defect gets the row and a random generator, and returns the row, or the line, with the defect; None where
this row cannot have it. All that it draws is made up from the generator.
"""

from __future__ import annotations

import html
import json
import string
from collections.abc import Callable
from random import Random

from planting.rows import Row, answer_of, user_of, with_answer, with_system, with_user, write_line

Defect = Callable[[Row, Random], Row | str | None]

FOREIGN_SENTENCES = (
    "Bitte schicken Sie mir bis morgen die vollständige Rechnung für die Lieferung der letzten Woche",
    "Je voudrais savoir pourquoi la livraison de la semaine dernière n'est toujours pas arrivée chez nous",
    "El paquete que pedimos la semana pasada todavía no ha llegado y queremos saber dónde está",
    "Vorremmo sapere perché la consegna della settimana scorsa non è ancora arrivata a casa nostra",
    "Мы хотели бы узнать, почему посылка, заказанная на прошлой неделе, до сих пор не пришла",
    "私たちは先週注文した荷物がまだ届いていない理由を知りたいと思っています",
    "我们想知道为什么上周订购的包裹到现在还没有送到我们家里",
    "نود أن نعرف لماذا لم يصل الطرد الذي طلبناه الأسبوع الماضي حتى الآن",
)
BOILERPLATE = (
    "As an AI language model, I cannot do that.",
    "I'm sorry, but I can't assist with that request.",
    "I apologize, but I am unable to provide this.",
    "Certainly! Here is the answer: {answer}",
    "As an AI, I don't have opinions, but the answer is {answer}",
    "{answer} Let me know if you need anything else!",
    "{answer} I hope this helps!",
)
ACCENTED = (
    "café",
    "naïve",
    "Müller",
    "señor",
    "déjà vu",
    "“quoted”",
    "it’s",
    "10 €",
    "à la carte",
    "Ångström",
)
INVISIBLE = ("\u200b", "\u2060", "\x07", "\x1b", "\x08", "\ufeff", "\u202e", "\x7f", "\u00ad")
ENTITIES = ("&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&nbsp;", "&eacute;", "&#8217;", "&#x27;")


def malformed(row: Row, rng: Random) -> str:
    line = write_line(row)
    return rng.choice(
        (
            line[: len(line) // 2],
            line.replace('"messages"', '"message"', 1),
            line[:-1] + ",}",
            f"[{line}]",
            json.dumps({"messages": [{"role": "user", "content": 5}, {"role": "assistant", "content": "x"}]}),
            json.dumps({"messages": []}),
            line.replace('"role": "user"', '"role": "user", "name": "x"', 1),
            line.replace('"', "'"),
        )
    )


def roles(row: Row, rng: Random) -> Row:
    *before, user, assistant = row["messages"]
    return {
        "messages": rng.choice(
            (
                [*before, user],
                [*before, assistant],
                [*before, user, user, assistant],
                [*before, user, assistant, assistant],
                [*before, user, {**assistant, "role": "bot"}],
                [*before, {**user, "role": "human"}, assistant],
                [user, *before, assistant] if before else [assistant, user],
            )
        )
    }


def empty_turn(row: Row, rng: Random) -> Row:
    return rng.choice((with_user, with_answer))(row, rng.choice(("", " ", "\n\n", "\t")))


def stray_space(row: Row, rng: Random) -> Row:
    space = rng.choice((" ", "  ", "\n", "\t", "\u00a0"))
    change, text = rng.choice(((with_user, user_of(row)), (with_answer, answer_of(row))))
    return change(row, text + space if rng.random() < 0.7 else space + text)


def html_entity(row: Row, rng: Random) -> Row:
    if user_of(row) != html.escape(user_of(row)) and rng.random() < 0.5:
        return with_user(row, html.escape(user_of(row)))
    return with_user(row, _insert_word(user_of(row), rng.choice(ENTITIES), rng))


def mojibake(row: Row, rng: Random) -> Row:
    broken = rng.choice(ACCENTED).encode("utf-8").decode("cp1252", errors="replace")
    return with_user(row, _insert_word(user_of(row), broken, rng))


def control_character(row: Row, rng: Random) -> Row:
    text = user_of(row)
    at = rng.randrange(len(text) + 1)
    return with_user(row, text[:at] + rng.choice(INVISIBLE) + text[at:])


def mixed_language(row: Row, rng: Random) -> Row:
    return with_user(row, rng.choice(FOREIGN_SENTENCES) + f" {rng.randrange(10**6)}")


def rare_label(row: Row, rng: Random) -> Row | None:
    """A misspelt label, or one that nobody else used."""
    label = answer_of(row)
    if not label.isalpha():
        return None
    at = rng.randrange(1, len(label))
    # So many that no two of 50 rows come to misspell a label alike, which would make it one of two rows.
    letters = "".join(rng.choices(string.ascii_lowercase, k=3))
    return with_answer(
        row, rng.choice((label[:at] + letters + label[at:], f"{letters}{rng.choice(_WORDS)}{letters}"))
    )


def echoes_input(row: Row, rng: Random) -> Row:
    asked = user_of(row)
    return with_answer(row, asked if rng.random() < 0.7 else asked.upper())


def boilerplate(row: Row, rng: Random) -> Row:
    return with_answer(row, rng.choice(BOILERPLATE).format(answer=answer_of(row)))


def truncated_answer(row: Row, rng: Random) -> Row | None:
    """Of JSON and of sentences: where a label or a code was cut is no more to be seen."""
    answer = answer_of(row)
    if answer.startswith("{") or len(answer.split()) > 12:
        return with_answer(row, answer[: rng.randrange(len(answer) // 2, len(answer) - 1)])
    return None


def length_outlier(row: Row, rng: Random) -> Row:
    change, text = rng.choice(((with_user, user_of(row)), (with_answer, answer_of(row))))
    return change(row, " ".join([text] * (2 + 6000 // len(text))))


def too_long(row: Row, rng: Random) -> Row:
    words = [f"{rng.choice(_WORDS)}{rng.randrange(100)}" for _ in range(3000)]
    return with_user(row, f"{user_of(row)} {' '.join(words)}")


def instruction_drift(row: Row, rng: Random) -> Row | None:
    if row["messages"][0]["role"] != "system":
        return None
    system = row["messages"][0]["content"]
    reworded = (
        f"{system} Thank you.",
        f"Please {system[0].lower()}{system[1:]}",
        system.replace(".", "!"),
        system[: -len(system) // 4],
        system.upper(),
    )
    return with_system(row, rng.choice(reworded))


def secret(row: Row, rng: Random) -> Row:
    """In the shapes that keys and passwords have."""
    alphanumeric = string.ascii_letters + string.digits
    shapes = (
        "AKIA" + _draw(string.ascii_uppercase + "234567", 16, rng),
        "ghp_" + _draw(alphanumeric, 36, rng),
        "sk-" + _draw(alphanumeric, 48, rng),
        f"xoxb-{_draw(string.digits, 12, rng)}-{_draw(string.digits, 12, rng)}-{_draw(alphanumeric, 9, rng)}",
        "hf_" + _draw(string.ascii_letters, 34, rng),
        "AIza" + _draw(alphanumeric, 35, rng),
        "password: " + _draw(alphanumeric, 8, rng) + "7x",
        "-----BEGIN RSA PRIVATE KEY-----\n" + _draw(alphanumeric, 64, rng),
        f"https://admin:{_draw(alphanumeric, 12, rng)}@example.com/db",
    )  # fmt: skip
    return with_user(row, _insert_word(user_of(row), rng.choice(shapes), rng))


def personal_data(row: Row, rng: Random) -> Row:
    """In the shapes that addresses and numbers of people have, check digits included."""
    first, last = rng.choice(("ana", "bo", "carol", "dev")), _draw(string.ascii_lowercase, 7, rng)
    shapes = (
        f"{first}.{last}@example.org",
        f"+44 20 7946 0{_draw(string.digits, 3, rng)}",
        f"(212) 555-0{rng.randrange(100, 200)}",
        _card_number(rng),
        _iban(rng),
        f"{rng.randrange(100, 650)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}",
    )
    return with_user(row, _insert_word(user_of(row), rng.choice(shapes), rng))


def format_drift(row: Row, rng: Random) -> Row:
    """The same content in another form."""
    answer = answer_of(row)
    value = _read_object(answer)
    if value:
        key = rng.choice(list(value))
        forms = (
            f"```json\n{answer}\n```",
            f"Here you are: {answer}",
            ", ".join(f"{k}: {v}" for k, v in value.items()),
            json.dumps([value], ensure_ascii=False),
            json.dumps({k.upper() if k == key else k: v for k, v in value.items()}, ensure_ascii=False),
            answer.replace('"', "'"),
        )
    else:
        forms = (
            json.dumps({"answer": answer}, ensure_ascii=False),
            f"```\n{answer}\n```",
            f"**{answer}**",
            f"The answer to your question is {answer}.",
            f"- {answer}\n- and nothing else",
            f"{answer.upper() if answer.islower() else answer}.",
        )
    return with_answer(row, rng.choice(forms))


def _insert_word(text: str, word: str, rng: Random) -> str:
    """Between two words, or at either end."""
    words = text.split(" ")
    at = rng.randrange(len(words) + 1)
    return " ".join([*words[:at], word, *words[at:]])


def _draw(alphabet: str, length: int, rng: Random) -> str:
    return "".join(rng.choices(alphabet, k=length))


def _card_number(rng: Random) -> str:
    """Sixteen digits, the last of which makes the Luhn sum right."""
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    doubled = [digit * 2 if place % 2 == 0 else digit for place, digit in enumerate(digits)]
    digits.append(-sum(digit // 10 + digit % 10 for digit in doubled) % 10)
    number = "".join(map(str, digits))
    return " ".join(number[start : start + 4] for start in range(0, 16, 4))


def _iban(rng: Random) -> str:
    """German; check digits by ISO 7064: 98 minus the remainder of account, country and 00 by 97."""
    account = _draw(string.digits, 18, rng)
    check = 98 - int(f"{account}131400") % 97
    return f"DE{check:02}{account}"


def _read_object(answer: str) -> dict[str, object] | None:
    if not answer.startswith("{"):
        return None
    value = json.loads(answer)
    return value if isinstance(value, dict) else None


_WORDS = ("river", "copper", "window", "lantern", "meadow", "engine", "velvet", "harbour", "pepper", "signal")

DEFECTS: dict[str, Defect] = {
    "malformed": malformed,
    "roles": roles,
    "empty-turn": empty_turn,
    "format-drift": format_drift,
    "stray-space": stray_space,
    "html-entity": html_entity,
    "mojibake": mojibake,
    "control-character": control_character,
    "mixed-language": mixed_language,
    "rare-label": rare_label,
    "echoes-input": echoes_input,
    "boilerplate": boilerplate,
    "truncated-answer": truncated_answer,
    "length-outlier": length_outlier,
    "too-long": too_long,
    "instruction-drift": instruction_drift,
    "secret": secret,
    "personal-data": personal_data,
}
"""By code: what changes a row by itself. What takes two rows is in `pairs`."""
