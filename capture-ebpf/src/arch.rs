//! Registers and syscall numbers of the architectures that we know.

#[cfg(bpf_target_arch = "x86_64")]
mod imp {
    /// `struct pt_regs`
    #[repr(C)]
    pub struct Registers {
        r15_to_bx: [u64; 6],
        r11_to_ax: [u64; 5],
        cx: u64,
        dx: u64,
        si: u64,
        di: u64,
        orig_ax: u64,
        ip: u64,
        cs: u64,
    }

    /// `__USER_CS`: anything else is a 32-bit program, whose numbers are others.
    const USER_CS: u64 = 0x33;

    /// Syscall number; `u64::MAX` for a 32-bit program.
    ///
    /// # Safety
    /// `registers` is a task's user registers.
    #[inline(always)]
    pub unsafe fn number(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe {
            if core::ptr::read_volatile(&raw const (*registers).cs) != USER_CS {
                return u64::MAX;
            }
            core::ptr::read_volatile(&raw const (*registers).orig_ax)
        }
    }

    /// Arguments 0, 1 and 2.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn arguments(registers: *const Registers) -> (u64, u64, u64) {
        // SAFETY: by the caller.
        unsafe {
            (
                core::ptr::read_volatile(&raw const (*registers).di),
                core::ptr::read_volatile(&raw const (*registers).si),
                core::ptr::read_volatile(&raw const (*registers).dx),
            )
        }
    }

    /// Argument 3 of a call in user space.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn fourth(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).cx) }
    }

    /// Result of a call in user space.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn result(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).r11_to_ax[4]) }
    }

    /// The goroutine in Go code, also during its system calls.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn goroutine(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).r15_to_bx[1]) }
    }

    /// First argument or result of a Go function.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn go_first(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).r11_to_ax[4]) }
    }

    /// Second argument of a Go function.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn go_second(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).r15_to_bx[5]) }
    }

    /// Third argument of a Go function.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn go_third(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).cx) }
    }

    pub const READ: u64 = 0;
    pub const WRITE: u64 = 1;
    pub const READV: u64 = 19;
    pub const WRITEV: u64 = 20;
    pub const SENDFILE: u64 = 40;
    pub const SENDTO: u64 = 44;
    pub const RECVFROM: u64 = 45;
    pub const SENDMSG: u64 = 46;
    pub const RECVMSG: u64 = 47;
    pub const SPLICE: u64 = 275;
    pub const RECVMMSG: u64 = 299;
    pub const SENDMMSG: u64 = 307;
    pub const PREADV2: u64 = 327;
    pub const PWRITEV2: u64 = 328;
}

#[cfg(bpf_target_arch = "aarch64")]
mod imp {
    /// `struct pt_regs`: x0 still holds argument 0 while the call runs.
    #[repr(C)]
    pub struct Registers {
        x: [u64; 31],
        sp: u64,
        pc: u64,
        pstate: u64,
        orig_x0: u64,
        syscall: i32,
    }

    /// `PSR_MODE32_BIT`
    const MODE_32: u64 = 0x10;

    /// Syscall number; `u64::MAX` for a 32-bit program.
    ///
    /// # Safety
    /// `registers` is a task's user registers.
    #[inline(always)]
    pub unsafe fn number(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe {
            if core::ptr::read_volatile(&raw const (*registers).pstate) & MODE_32 != 0 {
                return u64::MAX;
            }
            core::ptr::read_volatile(&raw const (*registers).syscall) as u32 as u64
        }
    }

    /// Arguments 0, 1 and 2.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn arguments(registers: *const Registers) -> (u64, u64, u64) {
        // SAFETY: by the caller.
        unsafe {
            (
                core::ptr::read_volatile(&raw const (*registers).orig_x0),
                core::ptr::read_volatile(&raw const (*registers).x[1]),
                core::ptr::read_volatile(&raw const (*registers).x[2]),
            )
        }
    }

    /// Argument 3 of a call in user space.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn fourth(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).x[3]) }
    }

    /// Result of a call in user space.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn result(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).x[0]) }
    }

    /// The goroutine in Go code, also during its system calls.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn goroutine(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).x[28]) }
    }

    /// First argument or result of a Go function.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn go_first(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).x[0]) }
    }

    /// Second argument of a Go function.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn go_second(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).x[1]) }
    }

    /// Third argument of a Go function.
    ///
    /// # Safety
    /// As [`number`].
    #[inline(always)]
    pub unsafe fn go_third(registers: *const Registers) -> u64 {
        // SAFETY: by the caller.
        unsafe { core::ptr::read_volatile(&raw const (*registers).x[2]) }
    }

    pub const READ: u64 = 63;
    pub const WRITE: u64 = 64;
    pub const READV: u64 = 65;
    pub const WRITEV: u64 = 66;
    pub const SENDFILE: u64 = 71;
    pub const SPLICE: u64 = 76;
    pub const SENDTO: u64 = 206;
    pub const RECVFROM: u64 = 207;
    pub const SENDMSG: u64 = 211;
    pub const RECVMSG: u64 = 212;
    pub const RECVMMSG: u64 = 243;
    pub const SENDMMSG: u64 = 269;
    pub const PREADV2: u64 = 286;
    pub const PWRITEV2: u64 = 287;
}

pub use imp::*;
