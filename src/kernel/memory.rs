//! The heap of the static binary: dlmalloc, behind a lock that costs next to nothing where nobody
//! waits, on pages that come from the kernel many at a time.

#![expect(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::yield_now;

use dlmalloc::{Allocator, Dlmalloc};

/// The least that is asked of the kernel, bytes: twice as much is half unused in the end, and to make its pages takes
/// longer than to ask twice.
const AT_ONCE: usize = 64 * 1024;

/// What is asked for in one piece up to this size is there at once, bytes: a page that comes when it
/// is first touched costs a fault, which takes longer than the page. More than that may be a table
/// of which little is ever used.
const THERE_AT_ONCE: usize = 512 * 1024;

/// A global allocator.
pub struct Memory {
    taken: AtomicBool,
    heap: UnsafeCell<Dlmalloc<Pages>>,
}

impl Memory {
    /// An empty heap.
    #[expect(
        clippy::new_without_default,
        reason = "only a constant can be a global allocator"
    )]
    pub const fn new() -> Self {
        let mut heap = Dlmalloc::new_with_allocator(Pages);
        assert!(heap.set_granularity(AT_ONCE));
        Memory {
            taken: AtomicBool::new(false),
            heap: UnsafeCell::new(heap),
        }
    }

    /// Whoever finds it taken lets others run: it is never held for long, as in dlmalloc.c
    /// (USE_SPIN_LOCKS).
    fn with<T>(&self, work: impl FnOnce(&mut Dlmalloc<Pages>) -> T) -> T {
        let take = || {
            self.taken
                .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
        };
        while take().is_err() {
            yield_now();
        }
        // SAFETY: whoever has taken it is alone with it until it is given back.
        let result = work(unsafe { &mut *self.heap.get() });
        self.taken.store(false, Ordering::Release);
        result
    }
}

// SAFETY: the heap is reached through `with` alone.
unsafe impl Sync for Memory {}

// SAFETY: all four are dlmalloc's own, and what they demand is what GlobalAlloc demands.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.free(memory, layout.size(), layout.align()) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        self.with(|heap| unsafe { heap.realloc(memory, layout.size(), layout.align(), size) })
    }
}

/// Pages of the kernel (mmap(2)).
struct Pages;

// SAFETY: what is told of the memory is what the kernel made of it.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let now = match size {
            ..=THERE_AT_ONCE => libc::MAP_POPULATE,
            _ => 0,
        };
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: it takes the place of nothing.
        let pages = unsafe { libc::mmap(null_mut(), size, access, kind | now, -1, 0) };
        match pages {
            libc::MAP_FAILED => (null_mut(), 0, 0),
            pages => (pages.cast(), size, 0),
        }
    }

    fn remap(&self, pages: *mut u8, old: usize, new: usize, may_move: bool) -> *mut u8 {
        let flags = if may_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: they are dlmalloc's, which asks for it.
        match unsafe { libc::mremap(pages.cast(), old, new, flags) } {
            libc::MAP_FAILED => null_mut(),
            pages => pages.cast(),
        }
    }

    fn free_part(&self, pages: *mut u8, old: usize, new: usize) -> bool {
        !self.remap(pages, old, new, false).is_null()
    }

    fn free(&self, pages: *mut u8, size: usize) -> bool {
        // SAFETY: they are dlmalloc's, which is done with them.
        unsafe { libc::munmap(pages.cast(), size) == 0 }
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// Takes memory of a size, writes a byte all over it, lets it grow, and looks.
    fn use_some(memory: &Memory, size: usize, byte: u8) {
        let layout = Layout::from_size_align(size, 16).unwrap();
        // SAFETY: it is read and written within its size, and given back as it was asked for.
        unsafe {
            let zeros = memory.alloc_zeroed(layout);
            assert!((0..size).all(|at| zeros.add(at).read() == 0));
            let own = memory.alloc(layout);
            own.write_bytes(byte, size);
            memory.dealloc(zeros, layout);
            let own = memory.realloc(own, layout, size * 2);
            assert!(own.addr().is_multiple_of(16) && (0..size).all(|at| own.add(at).read() == byte));
            memory.dealloc(own, Layout::from_size_align(size * 2, 16).unwrap());
        }
    }

    #[test]
    fn nobody_writes_into_the_memory_of_another() {
        let memory = Arc::new(Memory::new());
        let threads = (1..=8).map(|byte| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || {
                // From a few bytes to more than is there at once.
                for round in 0..48 {
                    use_some(&memory, 24 << (round % 16), byte);
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
    }
}
