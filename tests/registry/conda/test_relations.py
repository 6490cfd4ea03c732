from __future__ import annotations

from urllib.parse import urljoin

import pytest

from registry.conda.relations import (
    InvalidRelationError,
    channel_relations,
    has_circle,
    related_channel,
)


def test_only_what_is_set_is_written() -> None:
    assert channel_relations("", "") == {}
    assert channel_relations("../a", "") == {"base": "../a"}
    assert channel_relations("../a", "../b") == {"base": "../a", "overrides": "../b"}


@pytest.mark.parametrize(
    ("channel", "relation", "place"),
    [
        ("rc", "../main", ("acme", "main")),
        ("rc", "../..", ("acme", "main")),
        ("rc", "../dev", ("acme", "dev")),
        ("rc", "../../dev", ("acme", "dev")),
        ("rc", "../releases/2027", ("acme", "releases/2027")),
        ("rc", "../../../Globex", ("globex", "main")),
        ("rc", "../../../globex/label/dev", ("globex", "dev")),
        ("releases/2027", "../../main", ("acme", "main")),
        ("releases/2027", "../2026", ("acme", "releases/2026")),
        ("main", "../globex", ("globex", "main")),
        ("main", "../acme/rc", ("acme", "rc")),
        ("main", "../acme", ("acme", "main")),
    ],
)
def test_a_relation_leads_to_a_channel(channel: str, relation: str, place: tuple[str, str]) -> None:
    assert related_channel(relation, account="acme", channel=channel) == place


@pytest.mark.parametrize("channel", ["rc", "releases/2027"])
@pytest.mark.parametrize(
    "address",
    ["/conda/acme/label/", "/conda/acme/", "/conda/t/s3cret/acme/", "/t/s3cret/conda/acme/"],
)
def test_a_neighbour_is_the_same_from_every_address_of_a_channel(
    address: str, channel: str
) -> None:
    up = "../" * len(channel.split("/"))

    assert urljoin(f"https://conda.example{address}{channel}/", f"{up}main").endswith(
        f"{address}main"
    )
    assert related_channel(f"{up}main", account="acme", channel=channel) == ("acme", "main")


@pytest.mark.parametrize(
    "relation",
    [
        "", "main", "./main", "/conda/acme", "..", "../", "../main/", "..//main", "../a b",
        "../a?b", "../a#b", "../a\\b", "../%6d", "../../../..", "../../../../../evil", "https://evil.example",
        "../https://evil.example", "../../x/../y", "../../label", "../../../../conda", "../../..",
        "../../../globex/label", "../" + "a" * 256, "../é", "../.", "../a\n",
    ],
)  # fmt: skip
def test_what_leads_to_no_channel_of_this_host_is_refused(relation: str) -> None:
    with pytest.raises(InvalidRelationError) as refused:
        related_channel(relation, account="acme", channel="rc")
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("order", "circle"),
    [
        ({}, False),
        ({"a": "b", "b": "c"}, False),
        ({"a": "bc", "b": "d", "c": "d"}, False),
        ({"a": "a"}, True),
        ({"a": "b", "b": "c", "c": "a"}, True),
        ({"a": "b", "b": "c", "c": "b"}, False),
    ],
)
def test_a_circle_through_a_channel_is_found(order: dict[str, str], circle: bool) -> None:
    places = {(name, "x"): [(after, "x") for after in others] for name, others in order.items()}

    assert has_circle(places, ("a", "x")) is circle
