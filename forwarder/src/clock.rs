//! From the kernel's monotonic time to wall-clock time.

use rustix::time::{ClockId, clock_gettime};
use weir_rrpair::Timestamp;

/// A wall clock that moved against the monotonic one by at least so much was set. Less is
/// the error of the measurement; following it would change distances between times.
const STEP_NS: u64 = 1_000_000;

/// Difference of the two clocks. A connection keeps the one that it began with, so that a
/// clock step neither reorders its pairs nor changes their lengths.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WallClock {
    /// Wall-clock minus monotonic time, modulo 2^64.
    offset_ns: u64,
}

impl WallClock {
    /// Measures the difference now.
    pub fn measure() -> Self {
        // The best of a few: a pause between the two readings only makes one worse.
        let attempt = || {
            let before = now(ClockId::Monotonic);
            let wall = now(ClockId::Realtime);
            let after = now(ClockId::Monotonic);
            let middle = before + (after - before) / 2;
            (after - before, wall.wrapping_sub(middle))
        };
        let (_, offset_ns) = (0..5).map(|_| attempt()).min().unwrap_or_default();
        Self { offset_ns }
    }

    /// Follows a step of the wall clock; small differences are left alone.
    pub fn measure_again(&mut self) {
        self.follow(Self::measure());
    }

    fn follow(&mut self, measured: Self) {
        let ahead = measured.offset_ns.wrapping_sub(self.offset_ns);
        if ahead.min(ahead.wrapping_neg()) >= STEP_NS {
            *self = measured;
        }
    }

    /// The wall-clock time of a monotonic one.
    pub const fn wall(self, monotonic_ns: u64) -> Timestamp {
        Timestamp(monotonic_ns.wrapping_add(self.offset_ns))
    }

    /// Wall-clock time now.
    pub fn now() -> Timestamp {
        Timestamp(now(ClockId::Realtime))
    }

    /// Monotonic time now, as the kernel side gives it.
    pub fn monotonic_ns() -> u64 {
        now(ClockId::Monotonic)
    }
}

fn now(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_clock_lies_between_two_readings_of_the_wall_clock() {
        let clock = WallClock::measure();
        let before = WallClock::now();
        let mapped = clock.wall(WallClock::monotonic_ns());
        let after = WallClock::now();
        // Both clocks have their own rounding; a millisecond is far above it.
        assert!(mapped.0 + STEP_NS >= before.0 && mapped.0 <= after.0 + STEP_NS);
    }

    #[test]
    fn only_a_step_of_the_wall_clock_is_followed() {
        let start = WallClock { offset_ns: 5 };
        let mut clock = start;
        clock.follow(WallClock { offset_ns: 5 + STEP_NS - 1 });
        clock.follow(WallClock { offset_ns: 5_u64.wrapping_sub(STEP_NS - 1) });
        assert_eq!(clock, start);
        clock.follow(WallClock { offset_ns: 5 + STEP_NS });
        assert_eq!(clock.wall(100), Timestamp(105 + STEP_NS));
        clock.follow(start);
        assert_eq!(clock, start, "a step back is a step too");
    }

    #[test]
    fn distances_between_times_are_exact() {
        let clock = WallClock::measure();
        assert_eq!(clock.wall(1_000_000_001).0 - clock.wall(1_000_000_000).0, 1);
    }
}
