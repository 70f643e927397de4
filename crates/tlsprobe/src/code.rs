//! One instruction at a time.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic,
    OpAccess, OpKind, Register,
};

use crate::limits::{MAX_INSTRUCTION_BYTES, MAX_OFFSET};

/// Registers as bits: the first arguments of a call in order, then the result.
pub(crate) const ARGUMENTS: [u8; 4] = [1, 2, 4, 8];
pub(crate) const RESULT: u8 = 16;
/// What Go gives a function of `crypto/tls`: receiver, buffer, its length and the goroutine.
pub(crate) const GO_ARGUMENTS: u8 = RESULT | 32 | ARGUMENTS[3] | 64;
/// What a callee may overwrite, of these.
const BY_CALL: u8 = 31;

/// Where execution goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    Call,
    Jump(u64),
    Branch(u64),
    Return,
    /// A jump through a fixed slot: a call of another function that does not come back here.
    Linked,
    /// Anywhere.
    Indirect,
    /// Nowhere: a trap.
    Stop,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) next: u64,
    pub(crate) flow: Flow,
    /// Registers it may write.
    pub(crate) writes: u8,
    /// Whether the kernel emulates it under a probe.
    pub(crate) emulated: bool,
}

pub(crate) struct Steps(InstructionInfoFactory);

impl Steps {
    pub(crate) fn new() -> Self {
        Self(InstructionInfoFactory::new())
    }

    /// The instruction that `bytes` begin with.
    pub(crate) fn decode(&mut self, bytes: &[u8], address: u64) -> Option<Step> {
        let bytes = bytes.get(..MAX_INSTRUCTION_BYTES).unwrap_or(bytes);
        let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        let next = address.checked_add(instruction.len() as u64)?;
        let flow = flow(&instruction);
        let writes = if flow == Flow::Call { BY_CALL } else { self.writes(&instruction) };
        let emulated = bytes.get(..instruction.len()).is_some_and(is_emulated);
        Some(Step { next, flow, writes, emulated })
    }

    /// What `bytes` add to the first argument, if they begin with such an instruction.
    pub(crate) fn offset_of_first_argument(bytes: &[u8], address: u64) -> Option<u32> {
        let bytes = bytes.get(..MAX_INSTRUCTION_BYTES).unwrap_or(bytes);
        let instruction = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE).decode();
        let offset = match instruction.mnemonic() {
            Mnemonic::Lea
                if instruction.memory_base() == Register::RDI
                    && instruction.memory_index() == Register::None =>
            {
                instruction.memory_displacement64()
            }
            Mnemonic::Add
                if instruction.op0_kind() == OpKind::Register
                    && instruction.op0_register() == Register::RDI
                    && instruction.op1_kind() != OpKind::Register
                    && instruction.op1_kind() != OpKind::Memory =>
            {
                instruction.immediate(1)
            }
            _ => return None,
        };
        u32::try_from(offset).ok().filter(|offset| (1..MAX_OFFSET).contains(offset))
    }

    fn writes(&mut self, instruction: &Instruction) -> u8 {
        let mut bits = 0;
        for used in self.0.info(instruction).used_registers() {
            let written = matches!(
                used.access(),
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            );
            if written {
                bits |= match used.register().full_register() {
                    Register::RDI => ARGUMENTS[0],
                    Register::RSI => ARGUMENTS[1],
                    Register::RDX => ARGUMENTS[2],
                    Register::RCX => ARGUMENTS[3],
                    Register::RAX => RESULT,
                    Register::RBX => 32,
                    Register::R14 => 64,
                    _ => 0,
                };
            }
        }
        bits
    }
}

fn flow(instruction: &Instruction) -> Flow {
    let near = instruction.op0_kind() == OpKind::NearBranch64;
    match instruction.flow_control() {
        FlowControl::Next => Flow::Next,
        // A system call is one of these, and clobbers less.
        FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
        FlowControl::UnconditionalBranch if near => Flow::Jump(instruction.near_branch_target()),
        FlowControl::ConditionalBranch if near => Flow::Branch(instruction.near_branch_target()),
        FlowControl::Return if instruction.mnemonic() == Mnemonic::Ret => Flow::Return,
        FlowControl::IndirectBranch if instruction.is_ip_rel_memory_operand() => Flow::Linked,
        FlowControl::Exception => Flow::Stop,
        FlowControl::Interrupt if instruction.code() == Code::Int3 => Flow::Stop,
        // Returns to other segments are among them.
        FlowControl::UnconditionalBranch
        | FlowControl::ConditionalBranch
        | FlowControl::IndirectBranch
        | FlowControl::Return
        | FlowControl::Interrupt
        | FlowControl::XbeginXabortXend => Flow::Indirect,
    }
}

/// What every kernel emulates under a uprobe. Prefixes are left out: with some, the kernel
/// refuses the probe. So are the long forms of `nop`, which only newer kernels emulate.
fn is_emulated(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x90 | 0x50..=0x57]
            | [0x41, 0x50..=0x57]
            | [0x70..=0x7f | 0xeb, _]
            | [0xe8 | 0xe9, _, _, _, _]
            | [0x0f, 0x80..=0x8f, _, _, _, _]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(bytes: &[u8]) -> Step {
        Steps::new().decode(bytes, 0x1000).unwrap()
    }

    #[test]
    fn what_the_kernel_emulates_is_told_from_what_it_steps_over() {
        for bytes in [&[0x90][..], &[0x55], &[0x41, 0x54], &[0x78, 0x2f], &[0xe8, 1, 0, 0, 0]] {
            assert!(step(bytes).emulated, "{bytes:x?}");
        }
        // endbr64, sub rsp, ret, pause, xchg r8, call through memory, push of an immediate, a
        // branch with a size prefix.
        for bytes in [
            &[0xf3, 0x0f, 0x1e, 0xfa][..],
            &[0x48, 0x83, 0xec, 0x18],
            &[0xc3],
            &[0xf3, 0x90],
            &[0x41, 0x90],
            &[0xff, 0x15, 0, 0, 0, 0],
            &[0x6a, 1],
            &[0x66, 0x0f, 0x84, 0, 0, 0, 0],
        ] {
            assert!(!step(bytes).emulated, "{bytes:x?}");
        }
    }

    #[test]
    fn writes_that_are_not_named_are_seen() {
        assert_eq!(step(&[0xf7, 0xe1]).writes, RESULT | 4, "mul ecx writes rdx and rax");
        assert_eq!(step(&[0x0f, 0xa2]).writes, RESULT | 4 | 8 | 32, "cpuid");
        assert_eq!(step(&[0xf3, 0xa4]).writes, 1 | 2 | 8, "rep movsb");
        assert_eq!(step(&[0xb0, 1]).writes, RESULT, "mov al, 1");
        assert_eq!(step(&[0x0f, 0x48, 0xc2]).writes, RESULT, "cmovs eax, edx");
        assert_eq!(step(&[0x0f, 0x05]).writes, BY_CALL, "syscall");
        assert_eq!(step(&[0x85, 0xd2]).writes, 0, "test edx, edx");
        assert_eq!(step(&[0x0f, 0xb0, 0x0e]).writes, RESULT, "cmpxchg [rsi], cl");
    }

    #[test]
    fn offsets_from_the_first_argument_are_read() {
        let offset = |bytes: &[u8]| Steps::offset_of_first_argument(bytes, 0x1000);
        assert_eq!(offset(&[0x48, 0x8d, 0x8f, 0x60, 0x01, 0, 0]), Some(0x160), "lea rcx, [rdi+]");
        assert_eq!(offset(&[0x48, 0x81, 0xc7, 0x60, 0x01, 0, 0]), Some(0x160), "add rdi,");
        assert_eq!(offset(&[0x48, 0x8d, 0x4f, 0xf8]), None, "lea rcx, [rdi-8]");
        assert_eq!(offset(&[0x48, 0x01, 0xd7]), None, "add rdi, rdx");
        assert_eq!(offset(&[0x48, 0x8d, 0x8e, 0x60, 0x01, 0, 0]), None, "lea rcx, [rsi+]");
    }

    #[test]
    fn jumps_go_where_they_go() {
        assert_eq!(step(&[0xeb, 0x10]).flow, Flow::Jump(0x1012));
        assert_eq!(step(&[0x78, 0xfe]).flow, Flow::Branch(0x1000));
        assert_eq!(step(&[0xff, 0x25, 0, 0, 0, 0]).flow, Flow::Linked);
        assert_eq!(step(&[0xff, 0xe0]).flow, Flow::Indirect);
        assert_eq!((step(&[0xc3]).flow, step(&[0xcb]).flow), (Flow::Return, Flow::Indirect));
        assert_eq!(step(&[0x0f, 0x0b]).flow, Flow::Stop);
        assert_eq!(step(&[0xcd, 0x80]).flow, Flow::Indirect);
        assert!(Steps::new().decode(&[0x06], 0).is_none());
        assert!(Steps::new().decode(&[], u64::MAX).is_none());
    }
}
