"""What must not be kept of a text is found, ordinary numbers stay, and nothing that anybody writes takes long."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heeler.core.ibans import iban_end
from heeler.core.numbers_in_text import is_card, is_phone
from heeler.core.privacy import redact

FOUND = {
    "e-mail": ["jo@example.org", "jo.doe+news@mail.ex-ample.co.uk", "JÖ@bücher.example", "a_b%c@x.museum"],
    "phone": [
        *("+49 30 1234567", "+4930123456", "+1 (555) 234-5678", "+44 (0)20 7946 0958", "(+49) 30 123456"),
        *("0049 30 1234567", "00 44 20 7946 0958", "0033123456789"),
        *("(555) 234-5678", "(555)234-5678", "555-234-5678", "555.234.5678", "555 234 5678", "1-555-234-5678"),
        *("030/1234567", "030 123 45 67", "(030) 1234567", "01 23 45 67 89", "01.23.45.67.89", "07911123456"),
        *("tel 5551234", "Tel.: 123 4567", "phone:1234567", "Handy 1701234567"),
    ],
    "card number": [
        *("4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111", "378282246310005", "3782 822463 10005"),
        *("5555555555554444", "6011000990139424", "30569309025904", "3530111333300000", "6200000000000005"),
    ],
    "IBAN": [
        *("DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "gb82 west 1234 5698 7654 32"),
        *("NO93 8601 1117 947", "MT84MALT011000012345MTLCAST001S", "FR14 2004 1010 0505 0001 3M02 606"),
    ],
    "IP address": [
        *("192.168.1.77", "8.8.8.8", "10.0.0.0/8", "2001:db8::1", "fe80::1", "::ffff:192.168.0.1"),
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    ],
    "key": [
        *("sk-proj-abcDEF0123456789abcdef", "sk-" + "Ab0" * 12),
        *("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "github_pat_11ABCDEFG0123456789_abc", "AKIAIOSFODNN7EXAMPLE"),
        *("xoxb-123456789012-abcdef", "xoxp-1-2-345678", "sk_live_0123456789abcdef"),
        *("Bearer abcdefghijklmnopqrstuvw.xyz==", "bearer 0123456789abcdef0123456789abcdef"),
        *("hlr_ab12cd34_c2VjcmV0c2VjcmV0c2VjcmV0", "hlr_q1w2e3_s-e_c-r-e-t-s-e-c-r-e-t"),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nAABG5vbmUAAAAEbm9uZQ",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAI+/=\n-----END EC PRIVATE KEY-----",
    ],
}


@pytest.mark.parametrize(("kind", "secret"), [(kind, secret) for kind, some in FOUND.items() for secret in some])
@pytest.mark.parametrize(
    "around", ["{}", "say {} now", "({}), no", "it's {}.", "x: {}; y", '"{}"', "{}\nthanks", "é {} é"]
)
def test_what_must_not_be_kept_is_found(kind: str, secret: str, around: str) -> None:
    redacted = redact(around.format(secret))
    assert redacted.text == around.format(f"[{kind}]")
    assert redacted.counts == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        *("700 comparisons", "1,000,000 steps", "1000000", "1 000 000", "seed 1234567890", "1700000000", "-12345678"),
        *("2024-01-31", "31.01.2024", "01/02/2024 1030", "01.02.2024 10:30:22", "2024-01-31T10:30:22.123456+01:00"),
        *("12:34:56", "0.1234567", "3.1415926535", "-1.5e-10", "1e+1234567", "0.25 0.50 0.75", "0 1000000 2000000"),
        *("1.2.3", "v2.13.0", "1.2.3.4.5", "300.1.2.3", "torch==2.13.0", "steps 500-1000", "0012345678"),
        *("deadbeef12345678deadbeef12345678", "123e4567-e89b-12d3-a456-426614174000", "a" * 64, "1" * 40),
        *("std::vector", "::", "::1", "a::b", "1:2:3:4:5:6:7:8:9", "16:9", "key: value"),
        *("4111 1111 1111 1112", "0000 0000 0000 0000", "1700000000123", "1700000000000000000"),
        *("DE89370400440532013001", "XX89370400440532013000", "AT12 some words", "DE89 is short"),
        *("@ann", "a@b", "x@y.", "sk-learn-contrib-lightning", "ghp_short", "xoxo-hugs", "Bearer of news", "hlr_x"),
        *(
            "tel",
            "phone 12",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN ",
            "[e-mail] [phone] [key]",
            "",
            "落ちる – it falls",
        ),
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text).text == text
    assert redact(text).counts == {}


def test_findings_are_counted_by_kind() -> None:
    redacted = redact("jo@example.org or al@example.org, tel. 5551234 (not 700), from 10.0.0.1:8080")
    assert redacted.text == "[e-mail] or [e-mail], [phone] (not 700), from [IP address]:8080"
    assert redacted.counts == {"e-mail": 2, "phone": 1, "IP address": 1}


PIECES = st.sampled_from(
    [
        *(secret for some in FOUND.values() for secret in some),
        *(
            "+",
            "(",
            ")",
            "-",
            ".",
            "/",
            ":",
            "::",
            "@",
            "[",
            "]",
            " ",
            "\n",
            "0",
            "00",
            "1",
            "12",
            "4111",
            "_",
            "=",
            "é",
        ),
        *("a", "z", "DE89", "sk-", "hlr_a_", "tel ", "Bearer ", "-----BEGIN PRIVATE KEY-----", "[e-mail]", "555", "٣"),
    ]
)


@settings(max_examples=2000, deadline=None)
@given(st.one_of(st.text(), st.text("0123456789+-./:() @[]abDEx_\n"), st.lists(PIECES, max_size=12).map("".join)))
@example("1.2.3.4.5@x.com")
@example("1234567sk-abcdefghijklmnop0123456789")
@example("2001:db8::1jo@example.org")
def test_to_redact_again_changes_nothing(text: str) -> None:
    once = redact(text)
    again = redact(once.text)
    assert again.text == once.text
    assert again.counts == {}


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "1", "1 ", "12 ", "1.", "1/", "(", "+", "+1", "(0", "01 ", "0 1", "4111 ", "0" * 15 + " ", "555-234-"),
        *("@", "a@", "a.b@c.", "a@b.c.d.e.", "a-", "a+", "a:", "a::", "::1", ":", "DE89 ", "DE89 3704", "-", "\n", "["),
        *("sk-", "sk-aaaa--", "sk-aaaaaaaaaaaaaaaa-", "eyJ", "eyJaaaaaaaa.", "hlr_a_", "xox", "Bearer ", "Bearer aa "),
        *("tel ", "tel. 1", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "A" * 16 + "\n"),
    ],
)
def test_hostile_text_takes_no_longer_than_other_text(piece: str) -> None:
    """Twice the text may take twice the time, with room for a busy machine, and never four times."""
    hostile = (piece * (100_000 // len(piece) + 1))[:100_000]
    took_s: list[float] = []
    for text in (hostile[:50_000], hostile):
        start = time.process_time()
        redact(text)
        took_s.append(time.process_time() - start)
    assert took_s[1] < 5
    assert took_s[1] < 3 * took_s[0] + 0.5


def test_check_digits() -> None:
    assert is_card("4242424242424242")
    assert not any(is_card(f"424242424242424{digit}") for digit in "013456789")
    assert not any(iban_end(f"DE{check:02}370400440532013000") for check in range(98) if check != 89)
    assert is_phone("+290 1234")
    assert not is_phone("+290 123")
    assert not is_phone("+1234567890123456")
