//! From manifest files to a plan, with every fault at once.

use std::{borrow::Cow, fmt};

use weir_plan::{
    Compiled, Outcome, Plan, compile,
    manifest::{self, File, ManifestFault},
};

use super::files::Files;

/// What the manifests say.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) plan: Plan,
    /// What a person should know of it, a line each.
    pub(super) notes: Vec<String>,
}

/// All that is wrong with the manifests, a line each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Faults(Vec<ManifestFault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "{} {faults} in the manifests", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

/// Reads and compiles `files`; `namespace` is that of manifests that name none.
///
/// On one machine all manifests are one person's, so unlike in a cluster a single fault keeps
/// the whole plan from being put in force: half a capture would look like a whole one.
///
/// # Errors
///
/// Every fault, with its file and line.
pub(super) fn load(files: &Files, namespace: &str) -> Result<Loaded, Faults> {
    let names: Vec<Cow<'_, str>> = files.0.iter().map(|(path, _)| path.to_string_lossy()).collect();
    let texts = files.0.iter().map(|(_, text)| text.as_str());
    let files: Vec<_> = names.iter().zip(texts).map(|(name, text)| File { name, text }).collect();

    let manifests = manifest::read(&files, namespace).map_err(|refused| Faults(refused.0))?;
    let Compiled { plan, outcomes } = compile(&manifests.objects);
    let faults = manifests.faults(&outcomes);
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let mut notes: Vec<_> = manifests.notices.iter().map(ToString::to_string).collect();
    for Outcome { kind, key, warnings, .. } in &outcomes {
        notes.extend(warnings.iter().map(|warning| format!("{kind} {key}: {warning}")));
    }
    Ok(Loaded { plan, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURE: &str = "\
apiVersion: weir.dev/v1alpha1
kind: TrafficCapture
metadata: {name: rocket}
spec:
  selector: {matchLabels: {weir.dev/exe: rocket-api}}
  direction: Both
  exporters: [{name: local}]
";
    const EXPORTER: &str = "\
apiVersion: weir.dev/v1alpha1
kind: Exporter
metadata: {name: local}
spec:
  otlp: {endpoint: 'http://127.0.0.1:4318'}
";

    fn files(texts: &[(&str, &str)]) -> Files {
        Files(texts.iter().map(|(name, text)| (name.into(), (*text).to_owned())).collect())
    }

    #[test]
    fn objects_of_several_files_make_one_plan() {
        let loaded = load(&files(&[("a.yaml", CAPTURE), ("b.yaml", EXPORTER)]), "shop").unwrap();
        let capture = &loaded.plan.captures[0];
        assert_eq!(capture.key.to_string(), "shop/rocket");
        assert_eq!(capture.selector.to_string(), "weir.dev/exe=rocket-api");
        assert_eq!(loaded.plan.exporters[0].endpoint.port, 4318);
        assert_eq!(loaded.notes, [""; 0]);
    }

    #[test]
    fn every_fault_is_named_with_file_and_line() {
        let unknown = CAPTURE.replace("direction: Both", "directions: Both");
        let twice = EXPORTER.replace("otlp:", "otpl:");
        let faults = load(&files(&[("a.yaml", &unknown), ("b.yaml", &twice)]), "shop").unwrap_err();
        let text = faults.to_string();
        assert!(text.contains("a.yaml:6") && text.contains("directions"), "{text}");
        assert!(text.contains("b.yaml:5") && text.contains("otpl"), "{text}");
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_a_fault_of_the_line_that_makes_it() {
        let text = load(&files(&[("a.yaml", CAPTURE)]), "shop").unwrap_err().to_string();
        assert!(text.contains("a.yaml:7") && text.contains("shop/local does not exist"), "{text}");
    }

    #[test]
    fn a_foreign_document_is_noted_and_passed_over() {
        let foreign = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
        let all = files(&[("a.yaml", CAPTURE), ("b.yaml", EXPORTER), ("c.yaml", foreign)]);
        let loaded = load(&all, "shop").unwrap();
        assert_eq!(loaded.notes.len(), 1);
        assert!(loaded.notes[0].contains("c.yaml") && loaded.notes[0].contains("Deployment"));
    }
}
