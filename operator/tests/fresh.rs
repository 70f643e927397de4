//! The files that are generated from the types are up to date, and the binary writes them.
//! `UPDATE=1` rewrites them.

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

    /// Where the CRDs are kept: for `kubectl apply -f`, and in the chart.
    const PLACES: [&str; 2] = ["crds", "charts/weir-crds/templates"];

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    fn yaml_files(directory: &Path) -> BTreeMap<String, String> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .filter(|path| !path.ends_with("kustomization.yaml"))
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect()
    }

    #[test]
    fn the_crds_in_the_tree_and_in_the_chart_are_those_of_the_types() {
        let expect: BTreeMap<String, String> = weir_api::crd::files().into();
        for place in PLACES {
            let directory = root().join(place);
            if env::var_os("UPDATE").is_some() {
                for (name, text) in &expect {
                    fs::write(directory.join(name), text).unwrap();
                }
            }
            let found = yaml_files(&directory);
            assert!(
                found == expect,
                "{place} is stale: run `make gen`, or this test with UPDATE=1"
            );
        }
    }

    #[test]
    fn the_binary_writes_the_same_files_and_prints_the_same_documents() {
        let directory = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let output =
                Command::new(env!("CARGO_BIN_EXE_weir-operator")).args(arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        run(&["crds", "--out-dir", directory.path().to_str().unwrap()]);
        let files = yaml_files(directory.path());
        assert_eq!(files, weir_api::crd::files().into());
        let printed = run(&["crds"]);
        assert_eq!(printed.matches("\n---\n").count(), 2);
        assert!(files.values().all(|text| printed.contains(text.as_str())));
    }

    #[test]
    fn a_directory_that_does_not_exist_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let output = Command::new(env!("CARGO_BIN_EXE_weir-operator"))
            .args(["crds", "--out-dir", missing.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8(output.stderr).unwrap().contains("missing/weir.dev_"));
    }
}
