use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Container, PodSpec},
};

use super::*;

fn applied(settings: &str) -> DaemonSet {
    let config = NodeConfig::parse(settings).unwrap();
    serde_json::from_value(daemon_set(&config, "weir-system", None)).unwrap()
}

fn pod(set: &DaemonSet) -> PodSpec {
    set.spec.clone().template.spec.unwrap()
}

fn container(pod: &PodSpec, name: &str) -> Container {
    pod.containers.iter().find(|container| container.name == name).unwrap().clone()
}

#[test]
fn the_forwarder_has_no_rights_and_the_agent_no_token() {
    let pod = pod(&applied("image: weir-node:1"));
    assert_eq!(pod.automount_service_account_token, Some(false));
    let (agent, forwarder) = (container(&pod, "capture-agent"), container(&pod, "forwarder"));
    let mounts = |container: &Container, name: &str| {
        container.volume_mounts.iter().flatten().any(|mount| mount.name == name)
    };
    assert!(mounts(&forwarder, "token") && !mounts(&agent, "token"));
    for container in [&agent, &forwarder] {
        let security = container.security_context.clone().unwrap();
        assert_eq!(security.privileged, None);
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(security.capabilities.unwrap().drop.unwrap(), ["ALL"]);
    }
    let added = agent.security_context.unwrap().capabilities.unwrap().add.unwrap();
    assert_eq!(added, ["BPF", "PERFMON", "SYS_PTRACE", "SYS_ADMIN"]);
    let security = forwarder.security_context.unwrap();
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
    assert!(security.capabilities.unwrap().add.is_none());
    assert_eq!(security.seccomp_profile.unwrap().type_, "RuntimeDefault");
}

#[test]
fn without_probes_the_agent_has_one_capability_less() {
    let agent = container(&pod(&applied("{image: i, tlsProbes: false}")), "capture-agent");
    let added = agent.security_context.unwrap().capabilities.unwrap().add.unwrap();
    assert_eq!(added, ["BPF", "PERFMON", "SYS_PTRACE"]);
}

#[test]
fn nothing_of_the_host_is_mounted_unless_the_state_lies_there() {
    let host = |settings: &str| -> Vec<String> {
        let volumes = pod(&applied(settings)).volumes.unwrap();
        let host = volumes.into_iter().filter(|volume| volume.host_path.is_some());
        host.map(|volume| volume.name).collect()
    };
    assert_eq!(host("image: weir-node:1"), [""; 0]);
    assert_eq!(host("{image: i, state: {hostPath: {path: /var/lib/weir}}}"), ["state"]);
}

#[test]
fn settings_reach_the_pod_and_its_own_labels_win() {
    let set = applied(
        "{image: i, priorityClassName: system-node-critical, ringBytes: 1048576, adminPort: 9999,
          podLabels: {team: a, app.kubernetes.io/component: other},
          tolerations: [{operator: Exists}], state: {hostPath: {path: /var/lib/weir}},
          forwarder: {resources: {requests: {memory: 64Mi}}}}",
    );
    let pod = pod(&set);
    assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
    assert_eq!(pod.tolerations.as_ref().unwrap().len(), 1);
    assert!(container(&pod, "capture-agent").args.unwrap().contains(&"1048576".to_owned()));
    let forwarder = container(&pod, "forwarder");
    assert_eq!(forwarder.resources.unwrap().requests.unwrap()["memory"].0, "64Mi");
    assert_eq!(forwarder.ports.unwrap()[0].container_port, 9999);
    let state = pod.volumes.iter().flatten().find(|volume| volume.name == "state").unwrap();
    assert_eq!(state.host_path.as_ref().unwrap().path, "/var/lib/weir");
    let labels = set.spec.template.metadata.unwrap().labels.unwrap();
    assert_eq!((&*labels["team"], &*labels["app.kubernetes.io/component"]), ("a", "node"));
}

#[test]
fn the_queues_never_fill_their_volume() {
    for (state, expect) in [
        ("{emptyDir: {sizeLimit: 2Gi}}", Some("1879048192")),
        ("{hostPath: {path: /a, sizeLimit: 80Mi}}", Some("73400320")),
        ("{hostPath: {path: /a}}", None),
    ] {
        let pod = pod(&applied(&format!("{{image: i, state: {state}}}")));
        let arguments = container(&pod, "forwarder").args.unwrap();
        let option = arguments.iter().position(|argument| argument == "--queues-max-bytes");
        assert_eq!(option.map(|place| &*arguments[place + 1]), expect, "{state}");
    }
}

#[test]
fn metrics_are_pushed_only_when_somebody_says_where_to() {
    let environment = |settings: &str| -> Vec<(String, Option<String>)> {
        let forwarder = container(&pod(&applied(settings)), "forwarder");
        let all = forwarder.env.unwrap().into_iter().filter(|one| one.name.starts_with("OTEL_"));
        all.map(|one| {
            let secret = one.value_from.and_then(|from| from.secret_key_ref);
            let secret = secret.map(|of| format!("{}/{}", of.name, of.key));
            (one.name, one.value.or(secret))
        })
        .collect()
    };
    assert_eq!(environment("image: i"), []);
    let settings = "{image: i, metrics: {endpoint: 'https://c:4317', protocol: grpc,
                     headersSecret: s, intervalSeconds: 15}}";
    let expected = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15000"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s/headers"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
    assert_eq!(environment(settings), expected);
    let plain = environment("{image: i, metrics: {endpoint: 'http://c:4318'}}");
    assert_eq!(plain.len(), 2);
    assert_eq!(plain[1].1.as_deref(), Some("http/protobuf"));
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (settings, expect) in [
        ("{}", "image"),
        ("{image: ''}", "image is empty"),
        ("{image: i, privileged: true}", "privileged"),
        ("{image: i, state: {hostPath: {path: etc}}}", "not an absolute path"),
        ("{image: i, state: {emptyDir: {sizeLimit: lots}}}", "sizeLimit lots"),
        ("{image: i, state: {hostPath: {path: /a, sizeLimit: 1Mi}}}", "less than 16Mi"),
        ("{image: i, forwarder: {resource: {}}}", "resource"),
        ("{image: i, metrics: {endpoint: 'c:4318'}}", "metrics.endpoint"),
        ("{image: i, metrics: {endpoint: 'http://c', protocol: http/json}}", "http/json"),
        ("{image: i, metrics: {endpoint: 'http://c', intervalSeconds: 0}}", "intervalSeconds"),
    ] {
        let error = NodeConfig::parse(settings).unwrap_err();
        let text = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        assert!(text.contains(expect), "{settings}: {text}");
    }
}
