//! Process life, and the way from a descriptor to its socket.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_get_current_task_btf, bpf_ktime_get_ns, bpf_probe_read_kernel_str},
};
use weir_abi::{ExecEvent, Loss, ProcessEvent, ProcessEventKind, Target};

use crate::{
    config::config,
    maps::{PROCESSES, TARGET_EPOCH, TARGETS, lose},
    socket::read,
};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

#[inline(always)]
fn tell(kind: ProcessEventKind, tgid: u32, parent: u32, port: u32) {
    // SAFETY: a helper without arguments.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let event = ProcessEvent { time_ns, kind: kind as u32, tgid, parent, port };
    if PROCESSES.output::<ProcessEvent>(&event, 0).is_err() {
        lose(Loss::ProcessRingFull, 0, 0);
    }
}

const UNDECIDED: Target = Target { undecided: 1, tls: 0 };
const BPF_NOEXIST: u64 = 1;

/// The current process runs a new program. It is a target from its first instruction on, until
/// the agent says otherwise: what a short program does would be over by then. What was decided
/// about the program before says nothing of this one.
#[inline(always)]
pub fn exec(task: u64, program: u64) {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let _ = TARGETS.insert(&tgid, &UNDECIDED, 0);
    // SAFETY: pointers and numbers, guarded reads, and a helper without arguments.
    let exec = unsafe {
        let above: u64 = read(task + u64::from(config!(task_real_parent)));
        let groups: u64 = read(task + u64::from(config!(task_cgroups)));
        let groups_above: u64 = read(above + u64::from(config!(task_cgroups)));
        let file: u64 = read(program + u64::from(config!(binprm_file)));
        let entry: u64 = read(file + u64::from(config!(file_dentry)));
        let name: u64 = read(entry + u64::from(config!(dentry_name)));
        let mut exec = ExecEvent {
            event: ProcessEvent {
                time_ns: bpf_ktime_get_ns(),
                kind: ProcessEventKind::Exec as u32,
                tgid,
                parent: read(above + u64::from(config!(task_tgid))),
                port: 0,
            },
            start_ns: read(task + u64::from(config!(task_start_boottime))),
            in_parents_groups: u32::from(groups == groups_above),
            name: [0; 60],
        };
        let room = exec.name.len() as u32;
        bpf_probe_read_kernel_str(exec.name.as_mut_ptr().cast(), room, name as *const _);
        exec
    };
    if PROCESSES.output::<ExecEvent>(&exec, 0).is_err() {
        lose(Loss::ProcessRingFull, 0, 0);
    }
}

/// The current process listens, for which a capture may want it: its first client may be there
/// before the agent has decided.
#[inline(always)]
pub fn listen(tgid: u32, port: u16) {
    let _ = TARGETS.insert(&tgid, &UNDECIDED, BPF_NOEXIST);
    tell(ProcessEventKind::Listen, tgid, 0, u32::from(port));
}

/// The current process began a TLS connection.
#[inline(always)]
pub fn encrypts(tgid: u32) {
    tell(ProcessEventKind::Tls, tgid, 0, 0);
}

/// A child of a target is a target from its first instruction on.
#[inline(always)]
pub fn fork(parent: u64, child: u64) {
    // SAFETY: plain numbers, guarded reads.
    let (parent, child, thread): (u32, u32, u32) = unsafe {
        (
            read(parent + u64::from(config!(task_tgid))),
            read(child + u64::from(config!(task_tgid))),
            read(child + u64::from(config!(task_pid))),
        )
    };
    if child != thread {
        return;
    }
    // SAFETY: only its presence counts.
    if unsafe { TARGETS.get(&parent) }.is_some() {
        let _ = TARGETS.insert(&child, &UNDECIDED, 0);
        tell(ProcessEventKind::Fork, child, parent, 0);
    }
}

/// A thread ends; with the last one, its process.
#[inline(always)]
pub fn exit(task: u64) {
    // SAFETY: plain numbers, guarded reads.
    let (tgid, live): (u32, i32) = unsafe {
        let signal: u64 = read(task + u64::from(config!(task_signal)));
        (read(task + u64::from(config!(task_tgid))), read(signal + u64::from(config!(signal_live))))
    };
    if live > 0 {
        return;
    }
    if TARGETS.remove(&tgid).is_ok()
        && let Some(epoch) = TARGET_EPOCH.get_ptr_mut(0)
    {
        // SAFETY: a map value; a lost increment still changes the number.
        unsafe { *epoch += 1 };
    }
    tell(ProcessEventKind::Exit, tgid, 0, 0);
}

/// `struct sock` of a descriptor of the current process, 0 when it is no socket.
///
/// # Safety
/// None is asked: unreadable memory reads as zero.
#[inline(always)]
pub unsafe fn socket_of(descriptor: u64) -> u64 {
    // SAFETY: pointers and numbers, guarded reads.
    unsafe {
        let task = bpf_get_current_task_btf() as u64;
        let files: u64 = read(task + u64::from(config!(task_files)));
        let table: u64 = read(files + u64::from(config!(files_fdt)));
        let slots: u64 = read(table + u64::from(config!(fdtable_fd)));
        let file: u64 = read(slots + u64::from(descriptor as u32) * 8);
        let inode: u64 = read(file + u64::from(config!(file_inode)));
        let mode: u16 = read(inode + u64::from(config!(inode_mode)));
        if mode & S_IFMT != S_IFSOCK {
            return 0;
        }
        let socket: u64 = read(file + u64::from(config!(file_private_data)));
        read(socket + u64::from(config!(socket_sk)))
    }
}
