//! Waiting for the kernel side, with a time limit.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, epoll, eventfd},
    io::Errno,
    time::Timespec,
};

use super::RingError;

const RING: u64 = 0;
const ASKED: u64 = 1;

/// Waits for a ring to be worth reading.
///
/// The ring is watched edge-triggered: a wait ends when the kernel side *asks* for the reader
/// (at its fill level), not because some bytes lie there. So under load one wait covers many
/// records, and a trickle costs one wake-up per time limit.
#[derive(Debug)]
pub struct Waiter {
    epoll: OwnedFd,
    /// Kept open: the epoll set forgets a descriptor that is closed.
    ring: Option<OwnedFd>,
    asked: Arc<OwnedFd>,
}

/// Ends a wait from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waiter {
    /// A waiter without a ring.
    ///
    /// # Errors
    ///
    /// [`RingError::Wait`] when descriptors are short.
    pub fn new() -> Result<Self, RingError> {
        Self::open().map_err(|errno| RingError::Wait(errno.into()))
    }

    fn open() -> Result<Self, Errno> {
        let asked = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(ASKED);
        epoll::add(&epoll, &asked, data, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        Ok(Self { epoll, ring: None, asked: Arc::new(asked) })
    }

    /// Waits for this ring from now on, in place of the one before. A descriptor that cannot be
    /// waited on (an ordinary file in tests) is read by the time limit alone.
    ///
    /// # Errors
    ///
    /// [`RingError::Wait`] when the kernel refuses it; then it is read by the time limit alone.
    pub fn watch(&mut self, ring: OwnedFd) -> Result<(), RingError> {
        if let Some(before) = self.ring.take() {
            // The mapping may keep it alive, so closing alone would not do. It fails for a ring
            // that was never added.
            epoll::delete(&self.epoll, &before).ok();
        }
        let ring = self.ring.insert(ring);
        let data = epoll::EventData::new_u64(RING);
        match epoll::add(&self.epoll, &*ring, data, epoll::EventFlags::IN | epoll::EventFlags::ET) {
            Ok(()) | Err(Errno::PERM) => Ok(()),
            Err(errno) => Err(RingError::Wait(errno.into())),
        }
    }

    /// What other threads wake this waiter with.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.asked))
    }

    /// Waits at most `timeout`; true when it was ended by the kernel side or a [`Waker`].
    ///
    /// # Errors
    ///
    /// What `epoll_wait` reports, except interruption, which counts as nothing to do.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let limit = Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(RING),
        }; 2];
        match epoll::wait(self.epoll.as_fd(), &mut events, Some(&limit)) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Waker {
    /// Ends the current wait, or the next one at once.
    pub fn wake(&self) {
        let written = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
        debug_assert!(
            matches!(written, Ok(_) | Err(Errno::AGAIN)),
            "a full counter means that the waiter is awake already"
        );
    }
}
