//! Programs that the tests need and build once.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};

use crate::process::run;

const GUNICORN: &[&str] = &["gunicorn==23.0.0", "requests==2.34.2"];
/// With TLS libraries of their own: OpenSSL 1.1, BoringSSL with and without symbols, rustls.
const OTHER_TLS: &[&str] = &["pycurl==7.45.3", "curl-cffi==0.13.0", "uv==0.13.9"];

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

/// A C program, `programs/<name>.c`, of its own file alone.
///
/// # Errors
///
/// When the compiler fails.
pub fn c_program(name: &str) -> Result<PathBuf> {
    build(name, &format!("{name}.c"), |source, binary| {
        let mut command = Command::new("cc");
        command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(binary).arg(source);
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

/// How a program has OpenSSL inside of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inside {
    /// With the names of its functions.
    Named,
    /// Without.
    Stripped,
    /// Without, and with all else that it needs.
    StaticStripped,
}

/// A C program, `programs/<name>.c`, with OpenSSL inside of it.
///
/// # Errors
///
/// When the compiler fails.
pub fn with_openssl_inside(name: &str, inside: Inside) -> Result<PathBuf> {
    let (suffix, words): (_, &[&str]) = match inside {
        Inside::Named => ("with-names", &["-Wl,-Bstatic", "-lssl", "-lcrypto", "-Wl,-Bdynamic"]),
        Inside::Stripped => {
            ("without-names", &["-s", "-Wl,-Bstatic", "-lssl", "-lcrypto", "-Wl,-Bdynamic"])
        }
        Inside::StaticStripped => ("alone", &["-static", "-s", "-lssl", "-lcrypto"]),
    };
    build(&format!("{name}-{suffix}"), &format!("{name}.c"), |source, binary| {
        let mut command = Command::new("cc");
        command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(binary).arg(source);
        command.args(words).args(["-lpthread", "-ldl"]);
        command
    })
}

/// The `gunicorn` program, in a virtual environment of its own.
///
/// # Errors
///
/// When it cannot be installed.
pub fn gunicorn() -> Result<PathBuf> {
    from_pypi(GUNICORN, "gunicorn")
}

/// A Python that has `requests`, beside [`gunicorn`].
///
/// # Errors
///
/// When it cannot be installed.
pub fn python_with_requests() -> Result<PathBuf> {
    from_pypi(GUNICORN, "python3")
}

/// A program, or Python itself, where `pycurl`, `curl_cffi` and `uv` are.
///
/// # Errors
///
/// When it cannot be installed.
pub fn with_other_tls(name: &str) -> Result<PathBuf> {
    from_pypi(OTHER_TLS, name)
}

fn from_pypi(packages: &[&str], name: &str) -> Result<PathBuf> {
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let home = cache()?.join(packages.join("-").replace("==", "-"));
    // It is there when all is.
    let complete = home.join("complete");
    if !complete.exists() {
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&home);
        run(make)?;
        let mut install = Command::new(home.join("bin/pip"));
        install.args(["install", "--quiet", "--only-binary", ":all:"]).args(packages);
        run(install)?;
        fs::write(&complete, "").context("mark the virtual environment as complete")?;
    }
    Ok(home.join("bin").join(name))
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
