"""ArrayAccount: exact bytes, credited to the account that allocated them."""

import threading

import numpy as np

from phonograph._memory import ArrayAccount, leave


def test_an_array_counts_while_it_lives() -> None:
    """Held bytes rise by an array's size and fall when it dies; the peak stays."""
    account = ArrayAccount()
    previous = account.enter()
    array = np.zeros(1_000_000, np.float32)
    leave(previous)
    assert account.held_bytes == 4_000_000
    del array
    assert account.held_bytes == 0
    assert account.peak_bytes == 4_000_000


def test_arrays_outside_the_account_do_not_count() -> None:
    """After leave, allocations belong to someone else."""
    account = ArrayAccount()
    leave(account.enter())
    array = np.ones(1000)
    assert account.held_bytes == 0
    assert array.sum() == 1000


def test_an_array_freed_in_another_thread_is_credited_to_its_account() -> None:
    """Whoever drops the array, its own account gets the bytes back."""
    account = ArrayAccount()
    previous = account.enter()
    arrays = [np.ones(1000)]
    leave(previous)
    thread = threading.Thread(target=arrays.clear)
    thread.start()
    thread.join()
    assert account.held_bytes == 0


def test_resizing_moves_the_count() -> None:
    """A reallocated array counts with its new size."""
    account = ArrayAccount()
    previous = account.enter()
    array = np.zeros(1000, np.uint8)
    array.resize(5000, refcheck=False)
    leave(previous)
    assert account.held_bytes == 5000
    assert not array.any()


def test_arrays_outlive_their_account() -> None:
    """An array is usable after the account object is gone."""
    account = ArrayAccount()
    previous = account.enter()
    array = np.arange(100_000)
    leave(previous)
    del account
    assert array.sum() == 99_999 * 50_000
    del array


def test_accounts_nest() -> None:
    """The inner account counts alone, the outer one goes on afterwards."""
    outer, inner = ArrayAccount(), ArrayAccount()
    first = outer.enter()
    second = inner.enter()
    a = np.ones(10, np.uint8)
    leave(second)
    b = np.ones(20, np.uint8)
    leave(first)
    assert (inner.held_bytes, outer.held_bytes) == (a.nbytes, b.nbytes)
