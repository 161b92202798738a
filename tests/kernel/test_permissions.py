"""A set of permissions, each for everything or by name."""

import pytest

from trimtab.kernel import EVERYTHING, NOTHING, Grants, Invalid, Permission

READ, LOG = Permission.READ, Permission.LOG


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["read"], ("read",)),
        (["log:b", "read", "log:a"], ("read", "log:a,b")),
        (["read:a", "read"], ("read",)),
        ([" read : a , b "], ()),
        (["read:a , b"], ("read:a,b",)),
    ],
)
def test_permissions_are_read_as_people_write_them(texts: list[str], told: tuple[str, ...]) -> None:
    if not told:
        with pytest.raises(Invalid):
            Grants.of(texts, where="test")
        return
    grants = Grants.of(texts, where="test")
    assert grants.texts == told
    assert Grants.of(grants.texts, where="test") == grants


@pytest.mark.parametrize("texts", [[], [""], ["write"], ["public"], ["read:"], ["read:a,,b"], ["read:" + "a" * 101]])
def test_what_is_no_permission_is_refused(texts: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        Grants.of(texts, where="test")
    assert all(caught.value.parts().values())


def test_what_a_permission_suffices_for() -> None:
    some, all_ = Grants.of(["read:a,b"], where="test"), Grants.of(["read"], where="test")
    cases = [(("a",), True), (("a", "b"), True), (("a", "c"), False), ((), True), (None, False)]
    assert [some.may(READ, names) for names, _ in cases] == [may for _, may in cases]
    assert all(all_.may(READ, names) for names, _ in cases)
    assert not any(some.may(LOG, names) or NOTHING.may(READ, names) for names, _ in cases)
    assert all(EVERYTHING.may(permission, None) for permission in EVERYTHING.held)
    assert Permission.PUBLIC not in EVERYTHING.held
