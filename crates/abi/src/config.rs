//! Read-only globals of the kernel side, set before it is loaded.

/// Version of every layout in this crate.
pub const ABI_VERSION: u32 = 5;

/// Set as the read-only global `CONFIG`. Offsets are in bytes and come from the running
/// kernel's BTF, since Rust programs carry no CO-RE relocations.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Config {
    /// Wake the reader when so many bytes wait in the segment ring.
    pub wake_bytes: u32,
    /// Copy at most so many bytes of one call.
    pub call_limit_bytes: u32,
    /// `sock.sk_protocol`
    pub sk_protocol: u32,
    /// `sock_common.skc_family`
    pub skc_family: u32,
    /// `sock_common.skc_state`
    pub skc_state: u32,
    /// `sock_common.skc_num`: local port, host byte order
    pub skc_num: u32,
    /// `sock_common.skc_dport`: remote port, network byte order
    pub skc_dport: u32,
    /// `sock_common.skc_daddr`
    pub skc_daddr: u32,
    /// `sock_common.skc_rcv_saddr`
    pub skc_rcv_saddr: u32,
    /// `sock_common.skc_v6_daddr`
    pub skc_v6_daddr: u32,
    /// `sock_common.skc_v6_rcv_saddr`
    pub skc_v6_rcv_saddr: u32,
    /// `sock_common.skc_net`
    pub skc_net: u32,
    /// `net.ns.inum`
    pub net_inum: u32,
    /// `tcp_sock.copied_seq`
    pub copied_seq: u32,
    /// `tcp_sock.write_seq`
    pub write_seq: u32,
    /// `tcp_sock.rcv_nxt`
    pub rcv_nxt: u32,
    /// `tcp_sock.bytes_received`
    pub bytes_received: u32,
    /// `tcp_sock.snd_una`
    pub snd_una: u32,
    /// `tcp_sock.bytes_acked`
    pub bytes_acked: u32,
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.fd`
    pub fdtable_fd: u32,
    /// `file.private_data`
    pub file_private_data: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `inode.i_mode`
    pub inode_mode: u32,
    /// `socket.sk`
    pub socket_sk: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// `task_struct.real_parent`
    pub task_real_parent: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `task_struct.start_boottime`
    pub task_start_boottime: u32,
    /// `linux_binprm.file`
    pub binprm_file: u32,
    /// `file.f_path.dentry`
    pub file_dentry: u32,
    /// `dentry.d_name.name`
    pub dentry_name: u32,
}

const _: () = assert!(size_of::<Config>() == 144);
