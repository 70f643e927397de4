//! The kernel side: copies what targeted processes read and write on TCP sockets into a
//! ring, each piece with its position in the stream.
//!
//! Two ways in, one at a time. Kernels from 6.3 have tracepoints in the socket layer, which
//! cost other syscalls nothing ([`sock_send`], [`sock_recv`]); elsewhere [`sys_exit`] looks
//! at finished syscalls. Nothing here fails towards the application: every refusal is a
//! counter.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod arch;
mod buffers;
mod config;
mod emit;
mod maps;
mod process;
mod segment;
mod socket;
mod state;
mod tls;

use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, raw_tracepoint, uprobe, uretprobe},
    programs::{BtfTracePointContext, ProbeContext, RawTracePointContext, RetProbeContext},
};
use weir_abi::Direction;

use crate::{
    socket::Sock,
    state::{ByAddress, InSocket},
};

/// `sock_send_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_send_length")]
pub fn sock_send(ctx: BtfTracePointContext) -> i32 {
    segment::in_syscall(ctx.arg::<*const Sock>(0), ctx.arg(1), ctx.arg(2), Direction::Egress);
    0
}

/// `sock_recv_length(struct sock *sk, int ret, int flags)`
#[btf_tracepoint(function = "sock_recv_length")]
pub fn sock_recv(ctx: BtfTracePointContext) -> i32 {
    segment::in_syscall(ctx.arg::<*const Sock>(0), ctx.arg(1), ctx.arg(2), Direction::Ingress);
    0
}

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn sock_state(ctx: BtfTracePointContext) -> i32 {
    segment::state_change::<InSocket>(ctx.arg::<*const Sock>(0), ctx.arg(2));
    0
}

/// As [`sock_state`], for kernels that take the syscall way.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn sock_state_by_address(ctx: BtfTracePointContext) -> i32 {
    segment::state_change::<ByAddress>(ctx.arg::<*const Sock>(0), ctx.arg(2));
    0
}

/// `sys_exit(struct pt_regs *regs, long ret)`
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    segment::after_syscall(ctx.arg::<*const arch::Registers>(0), ctx.arg(1));
    0
}

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(ctx: RawTracePointContext) -> i32 {
    process::exec(ctx.arg(0), ctx.arg(2));
    0
}

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    process::fork(ctx.arg(0), ctx.arg(1));
    0
}

/// `sched_process_exit(struct task_struct *p, ...)`
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(ctx: RawTracePointContext) -> i32 {
    process::exit(ctx.arg(0));
    0
}

/// Where `SSL_read(ssl, buffer, length)` and its like have their arguments.
#[uprobe]
pub fn tls_read(ctx: ProbeContext) -> u32 {
    tls::begins(ctx.as_ptr().cast(), tls::READ);
    0
}

/// Where `SSL_write(ssl, buffer, length)` and its like have their arguments.
#[uprobe]
pub fn tls_write(ctx: ProbeContext) -> u32 {
    tls::begins(ctx.as_ptr().cast(), tls::WRITE);
    0
}

/// Where `SSL_read_ex(ssl, buffer, length, &moved)` has its arguments.
#[uprobe]
pub fn tls_read_ex(ctx: ProbeContext) -> u32 {
    tls::begins(ctx.as_ptr().cast(), tls::READ | tls::EX);
    0
}

/// Where `SSL_write_ex(ssl, buffer, length, &moved)` has its arguments.
#[uprobe]
pub fn tls_write_ex(ctx: ProbeContext) -> u32 {
    tls::begins(ctx.as_ptr().cast(), tls::WRITE | tls::EX);
    0
}

/// Where `SSL_do_handshake(ssl)` and its like have their argument.
#[uprobe]
pub fn tls_handshake(ctx: ProbeContext) -> u32 {
    tls::begins(ctx.as_ptr().cast(), tls::HANDSHAKE);
    0
}

/// Where the result of any of them is known, inside of it.
#[uprobe]
pub fn tls_result(ctx: ProbeContext) -> u32 {
    tls::returns(&ctx);
    0
}

/// Where `(*tls.Conn).Read(buffer)` of Go has its arguments.
#[uprobe]
pub fn go_tls_read(ctx: ProbeContext) -> u32 {
    tls::go_begins(ctx.as_ptr().cast(), tls::READ);
    0
}

/// Where `(*tls.Conn).Write(buffer)` of Go has its arguments.
#[uprobe]
pub fn go_tls_write(ctx: ProbeContext) -> u32 {
    tls::go_begins(ctx.as_ptr().cast(), tls::WRITE);
    0
}

/// Where `(*tls.Conn).handshakeContext` of Go has its arguments.
#[uprobe]
pub fn go_tls_handshake(ctx: ProbeContext) -> u32 {
    tls::go_begins(ctx.as_ptr().cast(), tls::HANDSHAKE);
    0
}

/// Where any of them returns.
#[uprobe]
pub fn go_tls_result(ctx: ProbeContext) -> u32 {
    tls::go_returns(ctx.as_ptr().cast());
    0
}

/// Where the caller goes on.
#[uretprobe]
pub fn tls_return(ctx: RetProbeContext) -> u32 {
    tls::returns(&ctx);
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The user-memory readers are lent to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
