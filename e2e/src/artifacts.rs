//! Programs that the tests need and build once.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};

use crate::process::run;

const GUNICORN: &str = "gunicorn==23.0.0";

/// Builds are not repeated by tests that run at the same time.
static BUILDING: Mutex<()> = Mutex::new(());

/// The `weir` binary: `$WEIR_BIN`, else the one in the target folder of the running test.
///
/// # Errors
///
/// When there is none.
pub fn weir() -> Result<PathBuf> {
    if let Some(path) = env::var_os("WEIR_BIN") {
        return Ok(PathBuf::from(path));
    }
    let test = env::current_exe().context("find the running test")?;
    // <target>/<profile>/deps/<test>
    let profile = test.ancestors().nth(2).context("no target folder")?;
    let path = profile.join("weir");
    if !path.exists() {
        bail!("{} is missing: build weir-cli first or set WEIR_BIN", path.display());
    }
    Ok(path)
}

/// The OpenTelemetry Collector: `$OTELCOL_BIN`, else what `otelcol/build.sh` builds.
///
/// # Errors
///
/// When the build fails.
pub fn otelcol() -> Result<PathBuf> {
    if let Some(path) = env::var_os("OTELCOL_BIN") {
        return Ok(PathBuf::from(path));
    }
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = run(Command::new(folder().join("otelcol/build.sh")))?;
    Ok(PathBuf::from(path.trim()))
}

/// The server and client that use the system calls they are told (`programs/syscalls.c`).
///
/// # Errors
///
/// When the compiler fails.
pub fn syscalls() -> Result<PathBuf> {
    build("syscalls", "syscalls.c", |source, binary| {
        let mut command = Command::new("cc");
        command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
        command.arg(binary).arg(source);
        command
    })
}

/// The Go server (`programs/server.go`).
///
/// # Errors
///
/// When the compiler fails.
pub fn go_server() -> Result<PathBuf> {
    go("server", &[])
}

/// A Go program, `programs/<name>.go`, built with these flags.
///
/// # Errors
///
/// When the compiler fails.
pub fn go(name: &str, flags: &[&str]) -> Result<PathBuf> {
    let binary = ["go-", name, &flags.concat().replace(['=', ' '], "")].concat();
    build(&binary, &format!("{name}.go"), |source, binary| {
        let mut command = Command::new("go");
        command.arg("build").args(flags).arg("-o").arg(binary).arg(source);
        command
    })
}

/// A C program, `programs/<name>.c`, with OpenSSL inside of it. Without names it is linked
/// statically as a whole, and stripped.
///
/// # Errors
///
/// When the compiler fails.
pub fn with_openssl_inside(name: &str, named: bool) -> Result<PathBuf> {
    build(
        &format!("{name}-{}", if named { "static" } else { "stripped" }),
        &format!("{name}.c"),
        |source, binary| {
            let mut command = Command::new("cc");
            command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(binary).arg(source);
            if named {
                command.args(["-Wl,-Bstatic", "-lssl", "-lcrypto", "-Wl,-Bdynamic"]);
            } else {
                command.args(["-static", "-s", "-lssl", "-lcrypto"]);
            }
            command.args(["-lpthread", "-ldl"]);
            command
        },
    )
}

/// The `gunicorn` program, in a virtual environment of its own.
///
/// # Errors
///
/// When it cannot be installed.
pub fn gunicorn() -> Result<PathBuf> {
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let home = cache()?.join(GUNICORN.replace("==", "-"));
    let program = home.join("bin/gunicorn");
    if !program.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&home);
        run(make)?;
        let mut install = Command::new(home.join("bin/pip"));
        install.args(["install", "--quiet", GUNICORN]);
        run(install)?;
    }
    Ok(program)
}

/// A file in `e2e/programs`.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    folder().join("programs").join(name)
}

/// The folder of this crate.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn build(
    name: &str,
    source: &str,
    command: impl FnOnce(&Path, &Path) -> Command,
) -> Result<PathBuf> {
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let source = program(source);
    let binary = cache()?.join(name);
    let changed = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let source_time = changed(&source).context("read the time of a source")?;
    if !changed(&binary).is_ok_and(|binary_time| binary_time > source_time) {
        run(command(&source, &binary))?;
    }
    Ok(binary)
}

fn cache() -> Result<PathBuf> {
    let path = folder().join("../.cache/e2e");
    fs::create_dir_all(&path).context("make the cache folder")?;
    Ok(path)
}
