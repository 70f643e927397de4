//! A process as a capture sees it: on one machine it is what a Pod is in a cluster.

use std::collections::{BTreeMap, BTreeSet};

use weir_link::Container;

/// Longest label value (Kubernetes API conventions).
const MAX_LABEL_BYTES: usize = 63;

/// Programs that run a script, whose own name says little.
const INTERPRETERS: [&str; 9] =
    ["python", "node", "ruby", "perl", "php", "java", "deno", "bun", "bash"];

/// What is known of one process. Labels follow from the other fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    pub pid: u32,
    /// Start time in clock ticks since boot: with `pid`, the process's identity.
    pub start_ticks: u64,
    /// Path of the program.
    pub exe: String,
    /// Base name of the script that an interpreter runs.
    pub script: Option<String>,
    /// Value of `OTEL_SERVICE_NAME` in the environment.
    pub declared_service: Option<String>,
    /// systemd unit, from the cgroup path.
    pub unit: Option<String>,
    /// Container of a pod that it runs in, from the cgroup path.
    pub container: Option<Container>,
    /// TCP ports that it listens on.
    pub listening: BTreeSet<u16>,
    /// The name in records: declared, else the unit's, else the script's, else the program's.
    pub service: String,
    /// `weir.dev/pid`, `weir.dev/exe`, `weir.dev/service`, `weir.dev/unit`, `weir.dev/script`,
    /// `weir.dev/port` (the lowest) and `weir.dev/port-<n>: "true"` for each port.
    pub labels: BTreeMap<String, String>,
}

impl Process {
    /// Derives service name and labels from the other fields.
    #[must_use]
    pub(crate) fn labelled(mut self) -> Self {
        let exe = base_name(&self.exe).to_owned();
        self.service = self
            .declared_service
            .clone()
            .or_else(|| self.unit.as_deref().map(|unit| stem(unit).to_owned()))
            .or_else(|| self.script.as_deref().map(|script| stem(script).to_owned()))
            .unwrap_or_else(|| exe.clone());
        let mut labels = BTreeMap::new();
        let mut label = |name: &str, value: &str| {
            labels.insert(format!("weir.dev/{name}"), label_value(value));
        };
        label("pid", &self.pid.to_string());
        label("exe", &exe);
        label("service", &self.service);
        if let Some(unit) = &self.unit {
            label("unit", unit);
        }
        if let Some(script) = &self.script {
            label("script", script);
        }
        if let Some(lowest) = self.listening.first() {
            label("port", &lowest.to_string());
        }
        for port in &self.listening {
            label(&format!("port-{port}"), "true");
        }
        self.labels = labels;
        self
    }

    /// The same process, listening on `port` too.
    #[must_use]
    pub(crate) fn listening_on(mut self, port: u16) -> Self {
        if port != 0 {
            self.listening.insert(port);
        }
        self.labelled()
    }

    /// A child right after fork: the same program with the same sockets.
    #[must_use]
    pub(crate) fn child(&self, pid: u32) -> Self {
        let start_ticks = super::scan::start_ticks(pid).unwrap_or(0);
        Self { pid, start_ticks, ..self.clone() }.labelled()
    }

    /// True when `exe` runs scripts.
    pub(crate) fn is_interpreter(exe: &str) -> bool {
        let name = base_name(exe).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        INTERPRETERS.contains(&name)
    }
}

/// What the kernel side tells of a process that runs a new program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Born {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// It is in the control groups that its parent is in.
    pub(crate) in_parents_groups: bool,
    /// Nanoseconds from boot to its start.
    pub(crate) start_ns: u64,
    /// Its program, without a folder.
    pub(crate) name: String,
}

/// What `/proc` counts in (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

impl Born {
    /// The process, when nothing else is left of it. `parent` has the same control groups. What its
    /// environment or an interpreter's arguments said is gone.
    pub(crate) fn process(&self, parent: Option<&Process>) -> Option<Process> {
        let named = !self.name.is_empty();
        named.then(|| {
            let process = Process {
                pid: self.pid,
                start_ticks: self.start_ns / (1_000_000_000 / TICKS_PER_SECOND),
                exe: self.name.clone(),
                unit: parent.and_then(|parent| parent.unit.clone()),
                container: parent.and_then(|parent| parent.container.clone()),
                ..Process::default()
            };
            process.labelled()
        })
    }
}

pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// File name without its last extension.
fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// `text` as a label value: other characters become `_`, ends are trimmed to alphanumerics.
fn label_value(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let value: String =
        text.chars().map(|c| if allowed(c) { c } else { '_' }).take(MAX_LABEL_BYTES).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Process {
        Process { pid: 42, exe: "/usr/bin/python3.11".to_owned(), ..Process::default() }
    }

    #[test]
    fn the_most_telling_name_becomes_the_service() {
        let mut process = process().labelled();
        assert_eq!(process.service, "python3.11");
        process.script = Some("orders.py".to_owned());
        process = process.labelled();
        assert_eq!(process.service, "orders");
        process.unit = Some("shop-orders.service".to_owned());
        process = process.labelled();
        assert_eq!(process.service, "shop-orders");
        process.declared_service = Some("orders-api".to_owned());
        assert_eq!(process.labelled().service, "orders-api");
    }

    #[test]
    fn of_a_process_that_is_gone_the_name_and_its_parents_place_are_left() {
        let parent = Process { unit: Some("shop.service".to_owned()), ..process() };
        let name = "curl".to_owned();
        let (in_parents_groups, start_ns) = (true, 1_230_000_000);
        let born = Born { pid: 43, parent: 42, in_parents_groups, start_ns, name };
        let process = born.process(Some(&parent)).unwrap();
        assert_eq!((process.start_ticks, &*process.labels["weir.dev/exe"]), (123, "curl"));
        assert_eq!(process.service, "shop");
        assert_eq!(born.process(None).unwrap().service, "curl");
        assert_eq!(Born { name: String::new(), ..born }.process(None), None);
    }

    #[test]
    fn ports_are_labels_each_and_the_lowest_is_the_port() {
        let process = process().listening_on(9090).listening_on(8080);
        assert_eq!(process.labels["weir.dev/port"], "8080");
        assert_eq!(process.labels["weir.dev/port-9090"], "true");
    }

    #[test]
    fn label_values_are_valid_whatever_the_name() {
        assert_eq!(label_value("/opt/my app (v2)"), "opt_my_app__v2");
        assert_eq!(label_value(&"x".repeat(200)).len(), MAX_LABEL_BYTES);
        assert_eq!(label_value("…"), "");
    }

    #[test]
    fn interpreters_are_known_with_their_versions() {
        assert!(Process::is_interpreter("/usr/bin/python3.11"));
        assert!(Process::is_interpreter("/usr/local/bin/node"));
        assert!(!Process::is_interpreter("/usr/sbin/nginx"));
    }
}
