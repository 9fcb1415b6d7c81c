/* Counting of NumPy array memory, per account (NEP 49 allocator hooks).
 *
 * NumPy asks the handler that is current in the calling thread's context for the memory of a new array, and keeps that handler with
 * the array: the block is given back to it whichever thread drops the array, however much later. So an account that is the
 * handler's context sees every byte that was allocated under it exactly twice: once coming, once going.
 *
 * `realloc` is not told the old size, so each block carries it in a header of one cache line, which also keeps the alignment that
 * the underlying allocator gives. Counters are atomic because frees come from any thread. Memory itself comes from NumPy's default
 * handler, so its small-block cache and huge pages stay in use.
 */
#ifndef PHONOGRAPH_MEMORY_H
#define PHONOGRAPH_MEMORY_H

#include <Python.h>
#include <numpy/arrayobject.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define ACCOUNT_HEADER 64

typedef struct {
    PyDataMem_Handler handler; /* first: the capsule points here */
    PyDataMemAllocator base;
    _Atomic int64_t held;
    _Atomic int64_t peak;
} Account;

static void account_add(Account *account, int64_t size) {
    int64_t held = atomic_fetch_add(&account->held, size) + size;
    int64_t peak = atomic_load(&account->peak);
    while (held > peak && !atomic_compare_exchange_weak(&account->peak, &peak, held)) {
    }
}

static void *account_hand_out(Account *account, char *block, size_t size) {
    if (block == NULL) {
        return NULL;
    }
    memcpy(block, &size, sizeof size);
    account_add(account, (int64_t)size);
    return block + ACCOUNT_HEADER;
}

static size_t account_take_back(Account *account, char *block) {
    size_t size;
    memcpy(&size, block, sizeof size);
    atomic_fetch_sub(&account->held, (int64_t)size);
    return size;
}

static void *account_malloc(void *context, size_t size) {
    Account *account = context;
    if (size > (size_t)PTRDIFF_MAX - ACCOUNT_HEADER) {
        return NULL;
    }
    return account_hand_out(account, account->base.malloc(account->base.ctx, size + ACCOUNT_HEADER), size);
}

static void *account_calloc(void *context, size_t count, size_t element) {
    Account *account = context;
    if (element != 0 && count > ((size_t)PTRDIFF_MAX - ACCOUNT_HEADER) / element) {
        return NULL;
    }
    size_t size = count * element;
    return account_hand_out(account, account->base.calloc(account->base.ctx, 1, size + ACCOUNT_HEADER), size);
}

static void account_free(void *context, void *pointer, size_t unused) {
    (void)unused;
    if (pointer == NULL) {
        return;
    }
    Account *account = context;
    char *block = (char *)pointer - ACCOUNT_HEADER;
    size_t size = account_take_back(account, block);
    account->base.free(account->base.ctx, block, size + ACCOUNT_HEADER);
}

static void *account_realloc(void *context, void *pointer, size_t size) {
    Account *account = context;
    if (pointer == NULL) {
        return account_malloc(context, size);
    }
    if (size > (size_t)PTRDIFF_MAX - ACCOUNT_HEADER) {
        return NULL;
    }
    char *block = (char *)pointer - ACCOUNT_HEADER;
    size_t old;
    memcpy(&old, block, sizeof old);
    char *moved = account->base.realloc(account->base.ctx, block, size + ACCOUNT_HEADER);
    if (moved == NULL) {
        return NULL;
    }
    atomic_fetch_sub(&account->held, (int64_t)old);
    return account_hand_out(account, moved, size);
}

/* The capsule is referenced by the Python object and by every array allocated under it; the last one to go frees the account. */
static void account_release(PyObject *capsule) {
    PyMem_RawFree(PyCapsule_GetPointer(capsule, "mem_handler"));
}

static PyObject *account_new(void) {
    PyDataMem_Handler *base = PyCapsule_GetPointer(PyDataMem_DefaultHandler, "mem_handler");
    if (base == NULL) {
        return NULL;
    }
    Account *account = PyMem_RawCalloc(1, sizeof *account);
    if (account == NULL) {
        return PyErr_NoMemory();
    }
    strcpy(account->handler.name, "phonograph_account");
    account->handler.version = 1;
    account->handler.allocator = (PyDataMemAllocator){account, account_malloc, account_calloc, account_realloc, account_free};
    account->base = base->allocator;
    PyObject *capsule = PyCapsule_New(account, "mem_handler", account_release);
    if (capsule == NULL) {
        PyMem_RawFree(account);
    }
    return capsule;
}

static int64_t account_held(PyObject *capsule) {
    return atomic_load(&((Account *)PyCapsule_GetPointer(capsule, "mem_handler"))->held);
}

static int64_t account_peak(PyObject *capsule) {
    return atomic_load(&((Account *)PyCapsule_GetPointer(capsule, "mem_handler"))->peak);
}

#endif
