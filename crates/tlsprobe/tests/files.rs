//! Whole files: made by hand, by a compiler, found on this machine, and broken ones.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::Command;
    use std::{env, fs};

    use proptest::prelude::*;
    use weir_tlsprobe::{
        Arguments, Cost, Found, Function, Library, MAX_PROBES, MAX_STEPS, Opaque, Probe, ProbePlan,
        ResultSite, Version, WhyUretprobe, examine,
    };

    /// Where code starts in a made file, and what its address is more than that.
    const CODE: u64 = 0x1000;
    const MOVED: u64 = 0x40_0000;

    /// `SSL_read` of a distribution's OpenSSL 3: the checked length, the common end, the error.
    const READ: [u8; 0x83] = *b"\
        \x48\x83\xec\x18\x64\x48\x8b\x04\x25\x28\x00\x00\x00\x48\x89\x44\x24\x08\x31\xc0\x85\xd2\
        \x78\x2f\x48\x89\xe1\x48\x63\xd2\xe8\x3d\xfe\xff\xff\x85\xc0\x7e\x03\x8b\x04\x24\
        \x48\x8b\x54\x24\x08\x64\x48\x2b\x14\x25\x28\x00\x00\x00\x75\x44\x48\x83\xc4\x18\
        \x31\xd2\x31\xc9\x31\xf6\x31\xff\xc3\
        \xe8\x44\x9f\xfe\xff\x48\x8d\x15\x05\xd5\x04\x00\xbe\x4c\x07\x00\x00\
        \x48\x8d\x3d\x62\xcc\x04\x00\xe8\x2c\xa6\xfe\xff\x31\xc0\x31\xd2\xbe\x0f\x01\x00\x00\
        \xbf\x14\x00\x00\x00\xe8\x49\xa4\xfe\xff\xb8\xff\xff\xff\xff\xeb\xac\xe8\x3d\xb1\xfe\xff";

    /// An ELF file with `code` at [`CODE`], each function named in a table of `kind`.
    fn file(kind: u32, functions: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut code, mut strings, mut symbols) = (Vec::new(), vec![0], vec![0; 24]);
        for (name, bytes) in functions {
            symbols.extend(u32::try_from(strings.len()).unwrap().to_le_bytes());
            symbols.extend([0x12, 0, 1, 0]);
            symbols.extend((MOVED + CODE + code.len() as u64).to_le_bytes());
            symbols.extend((bytes.len() as u64).to_le_bytes());
            strings.extend(name.bytes().chain([0]));
            code.extend(*bytes);
        }
        let code_end = CODE + code.len() as u64;
        let symbols_end = code_end + symbols.len() as u64;
        let end = symbols_end + strings.len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
        for word in [0, 64, end] {
            elf.extend(word.to_le_bytes());
        }
        for half in [0_u16, 0, 64, 56, 1, 64, 3, 0] {
            elf.extend(half.to_le_bytes());
        }
        elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        let code_bytes = code.len() as u64;
        for word in [CODE, MOVED + CODE, 0, code_bytes, code_bytes, 0x1000] {
            elf.extend(word.to_le_bytes());
        }
        elf.resize(usize::try_from(CODE).unwrap(), 0);
        for part in [&code, &symbols, &strings] {
            elf.extend(part);
        }
        elf.extend([0; 64]);
        section(&mut elf, kind, code_end..symbols_end, 2, 24);
        section(&mut elf, 3, symbols_end..end, 0, 0);
        elf
    }

    fn section(elf: &mut Vec<u8>, kind: u32, at: std::ops::Range<u64>, link: u32, each: u64) {
        elf.extend(0_u32.to_le_bytes());
        elf.extend(kind.to_le_bytes());
        for word in [0, 0, at.start, at.end - at.start] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend(link.to_le_bytes());
        elf.extend(0_u32.to_le_bytes());
        elf.extend([1_u64.to_le_bytes(), each.to_le_bytes()].concat());
    }

    const DYNAMIC: u32 = 11;
    const STATIC: u32 = 2;

    fn only(name: &str, code: &[u8]) -> Probe {
        let plan = examine(&file(DYNAMIC, &[(name, code)])).unwrap();
        assert_eq!(plan.probes.len(), 1);
        plan.probes[0].clone()
    }

    /// Where the arguments and the result are, from the entry on.
    fn check(name: &str, code: &[u8], arguments: (u64, Cost), result: ResultSite) {
        let probe = only(name, code);
        assert_eq!(probe.entry, CODE, "the file offset, not the address");
        let (offset, cost) = arguments;
        assert_eq!(
            probe.arguments,
            Arguments { offset: CODE + offset, cost },
            "{:x?}",
            &code[..code.len().min(32)]
        );
        let result = match result {
            ResultSite::Branch(at) => ResultSite::Branch(CODE + at),
            other => other,
        };
        assert_eq!(probe.result, result, "{:x?}", &code[..code.len().min(32)]);
    }

    fn uretprobe(why: WhyUretprobe) -> ResultSite {
        ResultSite::Uretprobe(why)
    }

    #[test]
    fn a_real_ssl_read_is_probed_at_two_branches() {
        check("SSL_read", &READ, (0x16, Cost::Emulated), ResultSite::Branch(0x38));
    }

    #[test]
    fn an_error_path_with_a_ret_of_its_own_needs_a_uretprobe() {
        let mut code = READ;
        // The jump back to the common end becomes `ret; nop`.
        code[0x7c..0x7e].copy_from_slice(&[0xc3, 0x90]);
        let why = uretprobe(WhyUretprobe::NoCommonBranch);
        check("SSL_read", &code, (0x16, Cost::Emulated), why);
    }

    #[test]
    fn a_result_written_after_the_branch_needs_a_uretprobe() {
        let mut code = READ;
        // `xor edx, edx` before the `ret` becomes `xor eax, eax`.
        code[0x3e..0x40].copy_from_slice(&[0x31, 0xc0]);
        let why = uretprobe(WhyUretprobe::NoCommonBranch);
        check("SSL_read", &code, (0x16, Cost::Emulated), why);
    }

    #[test]
    fn arguments_are_read_before_they_are_overwritten() {
        let nowhere = uretprobe(WhyUretprobe::NoCommonBranch);
        // mov edx, 1; nop; ret
        let code = [0xba, 1, 0, 0, 0, 0x90, 0xc3];
        check("SSL_read", &code, (0, Cost::SingleStep), nowhere.clone());
        check("SSL_set_fd", &code, (5, Cost::Emulated), ResultSite::NotNeeded);
        // mov rcx, rsp; nop; ret: the fourth argument.
        let code = [0x48, 0x89, 0xe1, 0x90, 0xc3];
        check("SSL_read", &code, (3, Cost::Emulated), nowhere.clone());
        check("SSL_read_ex", &code, (0, Cost::SingleStep), nowhere);
        // mov dil, al; nop; ret: a part of a register.
        check(
            "SSL_set_fd",
            &[0x40, 0x88, 0xc7, 0x90, 0xc3],
            (0, Cost::SingleStep),
            ResultSite::NotNeeded,
        );
    }

    #[test]
    fn a_site_that_a_loop_passes_again_is_not_taken() {
        // sub rsp, 8; 4: jne 4; jmp +0; ret
        let code = [0x48, 0x83, 0xec, 8, 0x75, 0xfe, 0xeb, 0, 0xc3];
        check("SSL_read", &code, (0, Cost::SingleStep), ResultSite::Branch(6));
        // xor eax, eax; 2: nop; jne 2; ret: the only branch is passed again and again.
        let code = [0x31, 0xc0, 0x90, 0x75, 0xfd, 0xc3];
        let nowhere = uretprobe(WhyUretprobe::NoCommonBranch);
        check("SSL_read", &code, (0, Cost::SingleStep), nowhere);
    }

    #[test]
    fn what_cannot_be_followed_is_not_proven() {
        let at_push = (0, Cost::Emulated);
        let at_entry = (0, Cost::SingleStep);
        for (code, arguments, why) in [
            // push rbp; jmp [rip+0]
            (&[0x55, 0xff, 0x25, 0, 0, 0, 0][..], at_push, WhyUretprobe::TailCall),
            // jmp rax: it could go anywhere, behind the `push` too.
            (&[0x51, 0xff, 0xe0], at_entry, WhyUretprobe::IndirectJump),
            (&[0x55, 0x06], at_entry, WhyUretprobe::Undecodable),
            // jmp far out of the file
            (&[0xe9, 0, 0, 0, 0x7f], at_push, WhyUretprobe::Undecodable),
            (&[0xeb, 0xfe], at_push, WhyUretprobe::NeverReturns),
            (&[0x0f, 0x0b], at_entry, WhyUretprobe::NeverReturns),
        ] {
            check("SSL_write", code, arguments, uretprobe(why));
        }
    }

    #[test]
    fn only_so_many_instructions_are_looked_at() {
        let mut code = vec![0x90; MAX_STEPS - 1];
        code.extend([0xeb, 0, 0xc3]);
        let why = uretprobe(WhyUretprobe::TooLong);
        check("SSL_write", &code, (0, Cost::SingleStep), why);
        code.drain(..1);
        let jump = ResultSite::Branch(MAX_STEPS as u64 - 2);
        check("SSL_write", &code, (0, Cost::Emulated), jump);
    }

    #[test]
    fn the_table_and_the_library_are_told() {
        let found = |kind, name| examine(&file(kind, &[(name, &READ)])).unwrap();
        assert_eq!(found(DYNAMIC, "SSL_write").probes[0].found, Found::DynamicSymbol);
        let plan = found(STATIC, "gnutls_record_recv");
        assert_eq!((plan.probes[0].found, plan.library), (Found::SymbolTable, Library::GnuTls));
        let both = [("SSL_CTX_set_custom_verify", &[0xc3][..]), ("SSL_read", &READ)];
        let plan = examine(&file(STATIC, &both)).unwrap();
        assert_eq!((plan.library, plan.probes[0].entry), (Library::BoringSsl, CODE + 1));
    }

    #[test]
    fn copies_of_a_function_are_all_probed_up_to_a_limit() {
        let copies = vec![("SSL_read", &READ[..]); MAX_PROBES + 8];
        let plan = examine(&file(STATIC, &copies)).unwrap();
        assert_eq!(plan.probes.len(), MAX_PROBES);
        assert!(plan.probes.windows(2).all(|pair| pair[1].entry == pair[0].entry + 0x83));
    }

    #[test]
    fn a_file_with_nothing_to_probe_says_why() {
        let named = |name| examine(&file(STATIC, &[(name, &[0xc3])]));
        assert_eq!(named("main"), Err(Opaque::NoTlsFunctions));
        assert_eq!(named("SSL_reader"), Err(Opaque::NoTlsFunctions));
        assert_eq!(named("JNI_CreateJavaVM"), Err(Opaque::Java));
        assert_eq!(named("mbedtls_ssl_read"), Err(Opaque::UnsupportedLibrary));
        assert_eq!(named("_ZN6rustls4conn10Connection"), Err(Opaque::UnsupportedLibrary));
        assert_eq!(examine(&file(1, &[])), Err(Opaque::StaticStripped));
        assert_eq!(examine(b""), Err(Opaque::Malformed));
        assert_eq!(examine(b"#!/bin/sh\nexit\n"), Err(Opaque::Malformed));
        let mut other = file(STATIC, &[("SSL_read", &READ)]);
        other[18] = 183;
        assert_eq!(examine(&other), Err(Opaque::UnsupportedMachine));
        other[4] = 1;
        assert_eq!(examine(&other), Err(Opaque::UnsupportedMachine));
        // A function that the file asks for: section 0.
        let mut imports = file(DYNAMIC, &[("SSL_read", &READ)]);
        imports[usize::try_from(CODE).unwrap() + READ.len() + 24 + 6] = 0;
        assert_eq!(examine(&imports), Err(Opaque::ImportsOnly));
        let reasons: BTreeSet<_> = Opaque::ALL.map(Opaque::as_str).into();
        assert_eq!(reasons.len(), Opaque::ALL.len());
    }

    /// Says so where a test has nothing to work on.
    fn skipped(what: &str) {
        eprintln!("skipped: no {what} here");
    }

    fn run(program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn a_compiled_library_is_probed_where_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let source = "
            .text
            .globl SSL_read, SSL_write, SSL_set_fd
            .type SSL_read, @function
            .type SSL_write, @function
            .type SSL_set_fd, @function
            SSL_read:   endbr64
                        sub $8, %rsp
            read_args:  call inner
                        test %eax, %eax
            read_end:   jmp 1f
            1:          add $8, %rsp
                        ret
                        .size SSL_read, . - SSL_read
            SSL_write:  mov %rdi, %rdx
                        xor %eax, %eax
                        ret
                        .size SSL_write, . - SSL_write
            SSL_set_fd: push %r12
                        pop %r12
                        ret
                        .size SSL_set_fd, . - SSL_set_fd
            inner:      ret
            .section .note.GNU-stack,\"\",@progbits\n";
        fs::write(at("ssl.s"), source).unwrap();
        fs::write(
            at("map"),
            "OPENSSL_1_1_0 { global: SSL_*; };\nOPENSSL_1_1_1 { } OPENSSL_1_1_0;\n",
        )
        .unwrap();
        let script = format!("-Wl,--version-script={}", at("map"));
        let (library, input) = (at("ssl.so"), at("ssl.s"));
        let built = ["-shared", "-nostdlib", &script, "-o", &library, &input];
        if run("cc", &built).is_none() {
            return skipped("compiler");
        }
        let Some(names) = run("nm", &[&library]) else { return skipped("nm") };
        let bytes = fs::read(&library).unwrap();
        let plan = examine(&bytes).unwrap();
        let version = Version { major: 1, minor: Some(1), patch: None };
        assert_eq!((plan.library, plan.version), (Library::OpenSsl, Some(version)));
        let address = |label: &str| {
            let line = names.lines().find(|line| {
                line.split(' ').nth(2).is_some_and(|name| name.split('@').next() == Some(label))
            });
            u64::from_str_radix(line.unwrap().split(' ').next().unwrap(), 16).unwrap()
        };
        let emulated = |offset| Arguments { offset, cost: Cost::Emulated };
        let of = |function| plan.probes.iter().find(|probe| probe.function == function).unwrap();
        // Offsets and addresses are the same in a library without a base, up to its data.
        let read = of(Function::SslRead);
        assert_eq!(read.entry, address("SSL_read"));
        assert_eq!(read.arguments, emulated(address("read_args")));
        assert_eq!(read.result, ResultSite::Branch(address("read_end")));
        let write = of(Function::SslWrite);
        assert_eq!(write.entry, address("SSL_write"));
        let entry = Arguments { offset: write.entry, cost: Cost::SingleStep };
        assert_eq!(write.arguments, entry);
        assert_eq!(write.result, uretprobe(WhyUretprobe::NoCommonBranch));
        let set = of(Function::SslSetFd);
        assert_eq!(
            (set.arguments, &set.result),
            (emulated(address("SSL_set_fd")), &ResultSite::NotNeeded)
        );
        holds(&bytes, &plan);
    }

    #[test]
    fn go_programs_are_probed_alike_with_and_without_symbols() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let source = "package main
            import \"crypto/tls\"
            func main() {
                client, _ := tls.Dial(\"tcp\", \"\", nil)
                server := tls.Server(client, nil)
                server.Write(nil)
                server.Read(nil)
            }";
        fs::write(at("main.go"), source).unwrap();
        let build = |name: &str, flag: &str| {
            run("go", &["build", flag, "-o", &at(name), &at("main.go")])?;
            Some(fs::read(at(name)).unwrap())
        };
        let Some(whole) = build("whole", "-ldflags=") else { return skipped("Go") };
        let plan = examine(&whole).unwrap();
        holds(&whole, &plan);
        assert_eq!((plan.library, plan.probes.len()), (Library::Go, 4), "{plan:?}");
        // What the linker leaves out moves nothing of the code.
        let stripped = examine(&build("stripped", "-ldflags=-s -w").unwrap()).unwrap();
        let places = |plan: &ProbePlan| -> BTreeSet<_> {
            let probes = plan.probes.iter();
            let place = |probe: &Probe| (probe.function, probe.entry, probe.arguments.offset);
            probes.map(place).collect()
        };
        assert_eq!(places(&plan), places(&stripped));
        assert!(stripped.probes.iter().all(|probe| probe.found == Found::GoTable));
        let names = run("go", &["tool", "nm", &at("whole")]).unwrap();
        for probe in &plan.probes {
            // Go's linker puts the file's beginning there.
            let address = format!("{:x}", probe.entry + 0x40_0000);
            let line = names.lines().find(|line| line.trim_start().starts_with(&address)).unwrap();
            assert!(line.contains(" T crypto/tls.(*Conn)."), "{line}");
        }
        let moved = examine(&build("moved", "-buildmode=pie").unwrap()).unwrap();
        assert_eq!(moved.probes.len(), 4);
    }

    /// Found where a distribution puts it.
    fn machine_library() -> Option<(String, Vec<u8>)> {
        let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
        folders.into_iter().find_map(|folder| {
            let path = Path::new(folder).join("libssl.so.3");
            Some((path.to_str()?.to_owned(), fs::read(&path).ok()?))
        })
    }

    #[test]
    fn the_machines_openssl_agrees_with_nm() {
        let Some((path, bytes)) = machine_library().filter(|_| env::consts::ARCH == "x86_64")
        else {
            return skipped("libssl.so.3");
        };
        let Some(names) = run("nm", &["-D", &path]) else { return skipped("nm") };
        let plan = examine(&bytes).unwrap();
        holds(&bytes, &plan);
        assert_eq!(plan.library, Library::OpenSsl);
        assert_eq!(plan.version.unwrap().major, 3);
        let mut compared = 0;
        for line in names.lines() {
            let [address, "T", name] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
            let name = name.split('@').next().unwrap();
            let Some(function) = Function::from_symbol(name.as_bytes()) else { continue };
            let entry = u64::from_str_radix(address, 16).unwrap();
            let is = |probe: &&Probe| probe.function == function && probe.entry == entry;
            assert!(plan.probes.iter().any(|probe| is(&probe)), "{name}");
            compared += 1;
        }
        assert_eq!(compared, plan.probes.len());
        assert_eq!(compared, 8, "all that are looked for");
        assert!(plan.client_random.is_some());
    }

    /// What is true of every plan, whatever the file.
    fn holds(elf: &[u8], plan: &ProbePlan) {
        assert!(!plan.probes.is_empty() && plan.probes.len() <= MAX_PROBES);
        let at = |offset: u64| &elf[usize::try_from(offset).unwrap()..];
        for probe in &plan.probes {
            assert!(!at(probe.entry).is_empty());
            let site = at(probe.arguments.offset);
            match probe.arguments.cost {
                Cost::SingleStep => assert_eq!(probe.arguments.offset, probe.entry),
                Cost::Emulated => assert!(
                    matches!(site[0], 0x90 | 0x41 | 0x0f | 0x50..=0x57 | 0x70..=0x7f | 0xe8..=0xe9 | 0xeb),
                ),
            }
            match &probe.result {
                ResultSite::Branch(offset) => {
                    assert!(matches!(at(*offset)[0], 0x0f | 0x70..=0x7f | 0xe9 | 0xeb));
                }
                ResultSite::NotNeeded => assert!(!probe.function.result_matters()),
                ResultSite::Returns(offsets) => {
                    assert!(!offsets.is_empty() && probe.function.arguments() == 0);
                    assert!(
                        offsets.iter().all(|offset| matches!(at(*offset)[0], 0xc2 | 0xc3 | 0xf3))
                    );
                }
                ResultSite::Uretprobe(_) => {}
            }
        }
    }

    fn survives(elf: &[u8]) {
        if let Ok(plan) = examine(elf) {
            holds(elf, &plan);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            survives(&bytes);
            let good = file(DYNAMIC, &[]);
            let head = bytes.len().min(120);
            bytes[..head].copy_from_slice(&good[..head]);
            survives(&bytes);
        }

        #[test]
        fn random_code_is_survived(code in prop::collection::vec(any::<u8>(), 0..512)) {
            let elf = file(STATIC, &[("SSL_read", &code), ("SSL_write_ex", &READ)]);
            holds(&elf, &examine(&elf).unwrap());
        }

        #[test]
        fn a_broken_file_is_survived(
            cut in any::<prop::sample::Index>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 0..8),
        ) {
            let made = file(DYNAMIC, &[("SSL_read", &READ), ("SSL_set_fd", &[0x90, 0xc3])]);
            let real = machine_library().map(|(_, bytes)| bytes);
            for good in [Some(made), real].into_iter().flatten() {
                survives(&good[..cut.index(good.len())]);
                let mut elf = good;
                for (at, bit) in &flips {
                    // Half of them where the headers are.
                    let within = if bit % 2 == 0 { elf.len() } else { 512 };
                    elf[at.index(within)] ^= 1 << bit;
                }
                survives(&elf);
            }
        }
    }
}
