import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.cursors import CursorError, CursorSigner

SIGNER = CursorSigner.from_secret("one secret")
VALUES = st.lists(st.text(st.characters(codec="utf-8")), max_size=4)


@given(st.text(max_size=20), VALUES)
def test_a_cursor_comes_back_as_it_went(listing, values):
    assert SIGNER.decode(listing, SIGNER.encode(listing, values)) == values


@given(VALUES)
def test_another_listing_or_secret_does_not_accept_it(values):
    cursor = SIGNER.encode("users", values)
    with pytest.raises(CursorError):
        SIGNER.decode("posts", cursor)
    with pytest.raises(CursorError):
        CursorSigner.from_secret("another secret").decode("users", cursor)


@given(VALUES, st.data())
def test_one_changed_character_is_noticed(values, data):
    cursor = SIGNER.encode("users", values)
    # The last character of a base64 text may carry unused bits, so it is left alone.
    place = data.draw(st.integers(0, len(cursor) - 2))
    other = data.draw(st.sampled_from("ABCDabcd0123-_").filter(lambda character: character != cursor[place]))
    with pytest.raises(CursorError):
        SIGNER.decode("users", cursor[:place] + other + cursor[place + 1 :])


@given(st.text(max_size=60))
def test_any_text_is_refused_and_never_an_accident(text):
    with pytest.raises(CursorError):
        SIGNER.decode("users", text)
