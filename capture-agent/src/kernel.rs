//! The programs in the kernel: loading, attaching, and the maps that we write and read.

mod probes;

pub(crate) use self::probes::ProbeLink;

use std::{
    collections::HashSet,
    fmt, fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use aya::{
    Ebpf, EbpfLoader, GlobalData,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf},
    programs::{
        BtfTracePoint, Program, ProgramError, RawTracePoint, raw_trace_point::RawTracePointLinkId,
        tp_btf::BtfTracePointLinkId,
    },
};
use weir_abi::{Config, Loss, LossCounter};

use crate::{
    agent::AgentConfig,
    btf::{Btf, BtfError},
    error::StartError,
    offsets::{self, BTF_PATH},
};

/// Most bytes copied of one call; the rest is a sized hole.
const CALL_LIMIT_BYTES: u32 = 4 << 20;

/// Connections that the syscall way can follow at once.
const TABLE_ENTRIES: u32 = 65_536;

/// How the programs learn of calls on sockets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Hook {
    /// [`Hook::SockLength`] where the kernel has it, else [`Hook::SyscallExit`].
    #[default]
    Auto,
    /// Tracepoints of the socket layer (from 6.3): no tax on other syscalls.
    SockLength,
    /// The end of every syscall: works on older kernels, about 50 ns on each syscall.
    SyscallExit,
}

impl Hook {
    const NAMES: [(&str, Self); 3] = [
        ("auto", Self::Auto),
        ("sock-length", Self::SockLength),
        ("syscall-exit", Self::SyscallExit),
    ];
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, hook)| hook == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hook = Self::NAMES.iter().find(|(name, _)| *name == text);
        hook.map(|(_, hook)| *hook)
            .ok_or_else(|| "must be auto, sock-length or syscall-exit".to_owned())
    }
}

/// [`weir_abi::Target`] as aya wants it: undecided, tls.
type TargetWords = [u32; 2];

/// A program and the tracepoint that it belongs to.
type Attachment = (&'static str, &'static str);

const SOCK_LENGTH: [Attachment; 3] = [
    ("sock_state", "inet_sock_set_state"),
    ("sock_send", "sock_send_length"),
    ("sock_recv", "sock_recv_length"),
];
const SYSCALL_EXIT: [Attachment; 2] =
    [("sock_state_by_address", "inet_sock_set_state"), ("sys_exit", "sys_exit")];
const PROCESS_LIFE: [Attachment; 3] = [
    ("process_exec", "sched_process_exec"),
    ("process_fork", "sched_process_fork"),
    ("process_exit", "sched_process_exit"),
];

/// The loaded object.
pub(crate) struct Kernel {
    programs: Ebpf,
    hook: Hook,
    typed_links: Vec<(&'static str, BtfTracePointLinkId)>,
    raw_links: Vec<(&'static str, RawTracePointLinkId)>,
    targets: HashMap<MapData, u32, TargetWords>,
    /// The programs for TLS libraries are loaded.
    probes_loaded: bool,
    epoch: Array<MapData, u32>,
    pub(crate) processes: RingBuf<MapData>,
    /// Kept so that the map lives as long as we do.
    segments: MapData,
}

/// Reads the loss counters; shared with whoever reports them.
#[derive(Clone)]
pub(crate) struct Losses(Arc<Mutex<PerCpuArray<MapData, Counters>>>);

/// [`LossCounter`] as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Counters(LossCounter);

#[repr(transparent)]
#[derive(Clone, Copy)]
struct Globals(Config);

#[expect(unsafe_code, reason = "aya asks for a promise that these are plain numbers")]
// SAFETY: repr(C) structures of integers without padding.
unsafe impl aya::Pod for Counters {}
#[expect(unsafe_code, reason = "aya asks for a promise that these are plain numbers")]
// SAFETY: repr(C) structures of integers without padding.
unsafe impl aya::Pod for Globals {}

impl Kernel {
    /// Loads every program that the chosen hook needs; attaches none.
    pub(crate) fn load(config: &AgentConfig) -> Result<(Self, Losses), StartError> {
        let raw =
            fs::read(BTF_PATH).map_err(|source| StartError::NoBtf { path: BTF_PATH, source })?;
        let (globals, hook) = {
            let btf = Btf::parse(&raw)?;
            let offsets = offsets::config(&btf)?;
            let (wake_bytes, call_limit_bytes) = (config.wake_bytes, CALL_LIMIT_BYTES);
            (Config { wake_bytes, call_limit_bytes, ..offsets }, resolve(config.hook, &btf)?)
        };
        drop(raw);
        raise_locked_memory_limit();
        let types = aya::Btf::from_sys_fs()
            .map_err(|source| StartError::kernel("read its type information", source))?;
        let globals = Globals(globals);
        let table = if hook == Hook::SyscallExit { TABLE_ENTRIES } else { 1 };
        let mut programs = EbpfLoader::new()
            .btf(Some(&types))
            .override_global("CONFIG", GlobalData::from(&globals), true)
            .map_max_entries("SEGMENTS", config.ring_bytes)
            .map_max_entries("CONNECTIONS", table)
            .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/weir-capture")))
            .map_err(|source| StartError::kernel("create the maps", source))?;
        for &(name, tracepoint) in typed(hook) {
            let program: &mut BtfTracePoint = program(&mut programs, name)?;
            program
                .load(tracepoint, &types)
                .map_err(|source| StartError::kernel(format!("load the program {name}"), source))?;
        }
        for (name, _) in PROCESS_LIFE {
            let program: &mut RawTracePoint = program(&mut programs, name)?;
            program
                .load()
                .map_err(|source| StartError::kernel(format!("load the program {name}"), source))?;
        }
        drop(types);
        return_freed_memory();
        let losses = Losses(Arc::new(Mutex::new(map(&mut programs, "LOSSES")?)));
        let kernel = Self {
            hook,
            typed_links: Vec::new(),
            raw_links: Vec::new(),
            targets: map(&mut programs, "TARGETS")?,
            probes_loaded: false,
            epoch: map(&mut programs, "TARGET_EPOCH")?,
            processes: map(&mut programs, "PROCESSES")?,
            segments: segments(&mut programs),
            programs,
        };
        Ok((kernel, losses))
    }

    /// The hook in use, never [`Hook::Auto`].
    pub(crate) fn hook(&self) -> Hook {
        self.hook
    }

    /// The segment ring's descriptor, to be kept by its reader.
    pub(crate) fn segment_ring(&self) -> io::Result<OwnedFd> {
        self.segments.fd().as_fd().try_clone_to_owned()
    }

    pub(crate) fn process_ring(&self) -> BorrowedFd<'_> {
        self.processes.as_fd()
    }

    /// Attaches process life first, so that nothing is missed between a scan and the hooks.
    pub(crate) fn attach(&mut self) -> Result<(), StartError> {
        for (name, tracepoint) in PROCESS_LIFE {
            let program: &mut RawTracePoint = program(&mut self.programs, name)?;
            let link = program.attach(tracepoint).map_err(|source| refused(tracepoint, source))?;
            self.raw_links.push((name, link));
        }
        for &(name, tracepoint) in typed(self.hook) {
            let program: &mut BtfTracePoint = program(&mut self.programs, name)?;
            let link = program.attach().map_err(|source| refused(tracepoint, source))?;
            self.typed_links.push((name, link));
        }
        Ok(())
    }

    /// Detaches every hook and forgets every target: the machine is as before.
    pub(crate) fn detach(&mut self) -> Result<(), StartError> {
        for (name, link) in self.typed_links.drain(..) {
            let program: &mut BtfTracePoint = program(&mut self.programs, name)?;
            program.detach(link).map_err(|source| refused(name, source))?;
        }
        for (name, link) in self.raw_links.drain(..) {
            let program: &mut RawTracePoint = program(&mut self.programs, name)?;
            program.detach(link).map_err(|source| refused(name, source))?;
        }
        self.retain_targets(&HashSet::new());
        Ok(())
    }

    /// Ends the capture of all processes but these.
    pub(crate) fn retain_targets(&mut self, wanted: &HashSet<u32>) {
        let all: Vec<u32> = self.targets.keys().filter_map(Result::ok).collect();
        for tgid in all.into_iter().filter(|tgid| !wanted.contains(tgid)) {
            self.remove_target(tgid);
        }
    }

    /// Captures `tgid` until it is decided about, unless it is captured already.
    pub(crate) fn hold_target(&mut self, tgid: u32) {
        const BPF_NOEXIST: u64 = 1;
        match self.targets.insert(tgid, [1, 0], BPF_NOEXIST) {
            Ok(()) => {}
            // It is captured already.
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => tracing::warn!(tgid, %error, "could not hold a new process"),
        }
    }

    /// Captures `tgid` from now on; `tls` is one of [`weir_abi::tls`].
    pub(crate) fn add_target(&mut self, tgid: u32, tls: u32) {
        if let Err(error) = self.targets.insert(tgid, [0, tls], 0) {
            tracing::warn!(tgid, %error, "could not add a target process");
        }
    }

    /// Ends the capture of `tgid`; sockets forget their cached verdicts by the new epoch.
    pub(crate) fn remove_target(&mut self, tgid: u32) {
        if self.targets.remove(&tgid).is_err() {
            return;
        }
        let epoch = self.epoch.get(&0, 0).unwrap_or(0).wrapping_add(1);
        if let Err(error) = self.epoch.set(0, epoch, 0) {
            tracing::warn!(%error, "could not end the verdicts kept in sockets");
        }
    }
}

impl Losses {
    /// Sums over processors, in the order of [`Loss::ALL`].
    pub(crate) fn read(&self) -> [LossCounter; Loss::COUNT as usize] {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Loss::ALL.map(|loss| {
            let mut sum = LossCounter::default();
            if let Ok(values) = map.get(&(loss as u32), 0) {
                for Counters(value) in values.iter() {
                    sum.records += value.records;
                    sum.bytes += value.bytes;
                    // One processor's share may be negative, and for a moment the sum.
                    sum.exchanges = sum.exchanges.wrapping_add(value.exchanges);
                }
            }
            sum.exchanges = u64::try_from(sum.exchanges.cast_signed()).unwrap_or(0);
            sum
        })
    }
}

fn typed(hook: Hook) -> &'static [Attachment] {
    if hook == Hook::SyscallExit { &SYSCALL_EXIT } else { &SOCK_LENGTH }
}

fn resolve(wanted: Hook, btf: &Btf<'_>) -> Result<Hook, BtfError> {
    Ok(match wanted {
        Hook::Auto if has_sock_length(btf)? => Hook::SockLength,
        Hook::Auto => Hook::SyscallExit,
        chosen => chosen,
    })
}

/// True when the kernel has the tracepoints of [`Hook::SockLength`].
pub(crate) fn has_sock_length(btf: &Btf<'_>) -> Result<bool, BtfError> {
    Ok(btf.has_typedef("btf_trace_sock_send_length")?
        && btf.has_typedef("btf_trace_sock_recv_length")?)
}

fn refused(what: &str, source: ProgramError) -> StartError {
    StartError::kernel(format!("attach or detach {what}"), source)
}

fn program<'a, T>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut T, StartError>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    programs
        .program_mut(name)
        .expect("the object is built with this crate and has all its programs")
        .try_into()
        .map_err(|source| StartError::kernel(format!("find the program {name}"), source))
}

fn map<T>(programs: &mut Ebpf, name: &str) -> Result<T, StartError>
where
    T: TryFrom<Map, Error = MapError>,
{
    T::try_from(take(programs, name))
        .map_err(|source| StartError::kernel(format!("open the map {name}"), source))
}

fn take(programs: &mut Ebpf, name: &str) -> Map {
    programs.take_map(name).expect("the object is built with this crate and has all its maps")
}

fn segments(programs: &mut Ebpf) -> MapData {
    match take(programs, "SEGMENTS") {
        Map::RingBuf(data) => data,
        _ => unreachable!("SEGMENTS is declared as a ring buffer"),
    }
}

/// Kernels before 5.11 charge maps to the locked-memory limit. It may not be ours to raise,
/// and later kernels do not ask, so a refusal is no failure.
fn raise_locked_memory_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if let Err(error) = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }) {
        tracing::debug!(%error, "could not raise the locked-memory limit");
    }
}

/// Type information is tens of megabytes while it is parsed.
fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "an allocator call without a safe wrapper")]
    // SAFETY: no precondition.
    unsafe {
        libc::malloc_trim(0);
    }
}
