//! Holds the dependency table: which crate of the workspace may know which other, and who may
//! know of Kubernetes, of an async runtime, of the kernel, of the outside world at all.
//!
//! It lives here because `weir-abi` is at the bottom and builds fast.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs};

    use serde_json::Value;

    /// Crates of the workspace that a crate may link; `None` is no restriction.
    const MAY_LINK: [(&str, Option<&[&str]>); 19] = [
        ("weir-abi", Some(&[])),
        ("weir-tlsprobe", Some(&[])),
        ("weir-rrpair", Some(&[])),
        ("weir-api", Some(&[])),
        ("weir-dissect", Some(&["weir-abi", "weir-rrpair"])),
        // A chain of transforms says by a filter which records it is about.
        ("weir-dlp", Some(&["weir-filter", "weir-rrpair"])),
        ("weir-explain", Some(&["weir-replay", "weir-rrpair"])),
        ("weir-filter", Some(&["weir-rrpair"])),
        ("weir-plan", Some(&["weir-api", "weir-dlp", "weir-filter", "weir-rrpair"])),
        ("weir-replay", Some(&["weir-rrpair"])),
        ("weir-queue", Some(&[])),
        ("weir-capture-ebpf", Some(&["weir-abi"])),
        ("weir-link", Some(&["weir-abi"])),
        ("weir-capture-agent", Some(&["weir-abi", "weir-link", "weir-tlsprobe"])),
        (
            "weir-forwarder",
            Some(&[
                "weir-abi",
                "weir-dissect",
                "weir-dlp",
                "weir-filter",
                "weir-link",
                "weir-plan",
                "weir-queue",
                "weir-rrpair",
            ]),
        ),
        ("weir-operator", Some(&["weir-api", "weir-plan"])),
        // The one binary that runs agent and forwarder together.
        ("weir-cli", None),
        // What checks Weir from outside shares no code with it.
        ("weir-demo", Some(&[])),
        ("weir-e2e", Some(&[])),
    ];

    /// No task, socket, file, client or clock: bytes and times come in as arguments.
    const PURE: [&str; 11] = [
        "weir-abi",
        "weir-api",
        "weir-dissect",
        "weir-dlp",
        "weir-explain",
        "weir-filter",
        "weir-plan",
        "weir-queue",
        "weir-replay",
        "weir-rrpair",
        "weir-tlsprobe",
    ];

    /// The one file of a pure crate that does what the others may not.
    const EXCEPT: [&str; 1] = ["crates/queue/src/disk.rs"];

    /// Who may name a crate (or a family of crates, with a `*`) among its dependencies.
    const ONLY: [(&str, &[&str]); 5] = [
        ("aya", &["weir-capture-agent", "weir-e2e"]),
        ("aya-*", &["weir-capture-agent", "weir-capture-ebpf"]),
        // The forwarder's daemon watches its plan and its node's pods, in one module.
        ("kube", &["weir-api", "weir-forwarder", "weir-operator"]),
        ("kube-*", &["weir-api", "weir-operator"]),
        // Types only: label selectors and quantities; the forwarder watches pods.
        ("k8s-openapi", &["weir-api", "weir-forwarder", "weir-operator", "weir-plan"]),
    ];

    /// What a pure crate may not depend on; `kube` in `weir-api` is derive and types.
    const IMPURE: [&str; 14] = [
        "tokio", "tokio-*", "futures", "async-*", "hyper", "hyper-*", "tonic", "axum", "reqwest",
        "rustix", "libc", "nix", "notify", "tempfile",
    ];

    /// What the source of a pure crate may not name outside its tests.
    const OUTSIDE_WORLD: [&str; 11] = [
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "std::io::stdin",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
    ];

    struct Member {
        folder: PathBuf,
        /// Names of normal and build dependencies, with whether they are for the build only.
        dependencies: BTreeMap<String, bool>,
    }

    fn members() -> BTreeMap<String, Member> {
        let cargo = env::var_os("CARGO").unwrap();
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let output = Command::new(cargo)
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(manifest)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        packages.iter().map(member).collect()
    }

    fn member(package: &Value) -> (String, Member) {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let mut dependencies = BTreeMap::new();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap().to_owned();
            match dependency["kind"].as_str() {
                Some("dev") => {}
                Some("build") => {
                    dependencies.entry(name).or_insert(true);
                }
                _ => {
                    dependencies.insert(name, false);
                }
            }
        }
        let folder = manifest.parent().unwrap().to_owned();
        (package["name"].as_str().unwrap().to_owned(), Member { folder, dependencies })
    }

    fn fits(pattern: &str, name: &str) -> bool {
        pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
    }

    #[test]
    fn every_crate_links_only_what_the_table_allows() {
        let members = members();
        let named: BTreeSet<&str> = MAY_LINK.iter().map(|(name, _)| *name).collect();
        let real: BTreeSet<&str> = members.keys().map(String::as_str).collect();
        assert_eq!(named, real, "the table and the workspace name different crates");
        for (name, allowed) in MAY_LINK {
            let Some(allowed) = allowed else { continue };
            for (dependency, build_only) in &members[name].dependencies {
                let ours = members.contains_key(dependency);
                // The agent's build script compiles the kernel side; nothing of it is linked.
                let compiled = *build_only && dependency == "weir-capture-ebpf";
                let fine = !ours || compiled || allowed.contains(&dependency.as_str());
                assert!(fine, "{name} may not link {dependency}");
            }
        }
    }

    #[test]
    fn kernel_and_cluster_are_known_to_few() {
        for (name, member) in members() {
            for dependency in member.dependencies.keys() {
                for (pattern, few) in ONLY {
                    let fine = !fits(pattern, dependency) || few.contains(&name.as_str());
                    assert!(fine, "{name} may not know of {dependency}");
                }
            }
        }
    }

    #[test]
    fn pure_crates_depend_on_no_runtime_socket_or_file_crate() {
        let members = members();
        for name in PURE {
            for dependency in members[name].dependencies.keys() {
                let fine = !IMPURE.iter().any(|pattern| fits(pattern, dependency));
                assert!(fine, "{name} is pure, {dependency} is not");
            }
        }
    }

    #[test]
    fn pure_crates_name_no_file_socket_clock_or_thread() {
        let members = members();
        for name in PURE {
            let mut read = 0;
            for file in sources(&members[name].folder.join("src")) {
                let text = fs::read_to_string(&file).unwrap();
                // Tests come last in a file, or in a file of their own.
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                if EXCEPT.iter().any(|except| file.ends_with(except)) {
                    continue;
                }
                for named in OUTSIDE_WORLD {
                    assert!(!code.contains(named), "{} names {named}", file.display());
                }
                read += 1;
            }
            assert!(read > 0, "{name} has no source");
        }
    }

    /// Redaction is what `Redacted` says (DESIGN, decision 6): only the crate that carries
    /// policies out may say so.
    #[test]
    fn only_redaction_makes_a_redacted_record() {
        let mut named = 0;
        for (name, member) in members() {
            for file in sources(&member.folder.join("src")) {
                let text = fs::read_to_string(&file).unwrap();
                let calls = text.matches("::attest(").count();
                named += calls;
                assert!(calls == 0 || name == "weir-dlp", "{} attests", file.display());
            }
        }
        assert!(named > 0, "the constructor has another name");
    }

    /// The Rust files below `folder`, without tests.
    fn sources(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            if stem == "tests" {
                continue;
            }
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }

    #[test]
    fn a_star_stands_for_a_family_and_nothing_else() {
        assert!(fits("aya-*", "aya-ebpf") && !fits("aya-*", "aya") && !fits("aya", "aya-ebpf"));
    }
}
