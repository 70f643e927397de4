//! Builds the kernel side with whichever toolchain can: see `toolchain`.

use std::{env, path::Path, process::Command};

use anyhow::Context as _;
use aya_build::{Package, Toolchain, build_ebpf};

/// Toolchains in order of preference; the first that has the sources of `core` wins.
/// `debian-web` is Debian's rustc-web package linked into rustup, see CONTRIBUTING.
const CANDIDATES: [&str; 3] = ["nightly", "debian-web", "stable"];

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=EBPF_TOOLCHAIN");
    let toolchain = match env::var("EBPF_TOOLCHAIN") {
        Ok(name) => name,
        Err(_) => CANDIDATES
            .into_iter()
            .find(|name| has_core_sources(name))
            .context(
                "no Rust toolchain with the sources of core: run `make setup`, or \
                 `rustup toolchain install nightly --component rust-src`",
            )?
            .to_owned(),
    };
    if !toolchain.starts_with("nightly") {
        allow_unstable_options();
    }
    let package =
        Package { name: "weir-capture-ebpf", root_dir: "../capture-ebpf", ..Package::default() };
    println!("cargo:rerun-if-changed=../crates/abi/src");
    build_ebpf([package], Toolchain::Custom(&toolchain))
}

/// Lets -Zbuild-std through on a stable compiler.
#[expect(unsafe_code, clippy::disallowed_methods, reason = "aya-build reads its environment")]
fn allow_unstable_options() {
    // SAFETY: a build script with one thread.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
}

fn has_core_sources(toolchain: &str) -> bool {
    let output =
        Command::new("rustup").args(["run", toolchain, "rustc", "--print", "sysroot"]).output();
    output.is_ok_and(|output| {
        let root = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success()
            && Path::new(&root).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists()
    })
}
