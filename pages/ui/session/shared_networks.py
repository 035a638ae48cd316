"""The networks in memory: shared by all sessions, held while one of them uses them, a few for each session."""

from collections.abc import Hashable

import streamlit as st

from core.jobs import Pool
from core.models import Model

MOST = 3  # that a session holds; the one that it has not used for longest is released


@st.cache_resource(show_spinner=False)
def shared_networks() -> Pool[Model]:
    """The networks of all sessions."""
    return Pool()


class UsedNetworks:
    """The networks that one session uses, by their keys."""

    def __init__(self, user: object) -> None:
        self.user = user
        self.keys: tuple[Hashable, ...] = ()  # the most recently used last
        self.left = False

    def use(self, key: Hashable) -> None:
        """Note the use of a network, and release the one that was not used for longest."""
        if self.left:  # a last run of the session that ends only now
            shared_networks().release(key, self.user)
            return
        keys = (*(other for other in self.keys if other != key), key)
        self.keys = keys[-MOST:]
        for other in keys[:-MOST]:
            shared_networks().release(other, self.user)

    def release(self, *keys: Hashable) -> None:
        """Use networks no more; those that no other session uses are freed."""
        self.keys = tuple(key for key in self.keys if key not in keys)
        for key in keys:
            shared_networks().release(key, self.user)

    def leave(self) -> None:
        """Use no network any more."""
        self.keys, self.left = (), True
        shared_networks().leave(self.user)
