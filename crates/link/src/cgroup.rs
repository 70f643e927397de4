//! Which container a process runs in, by its control group.
//!
//! The kubelet and the runtimes write the pod's uid and the container's id into the path; how
//! depends on the cgroup driver (`cgroupfs` or `systemd`) and on the runtime. The *first* pod in
//! the path counts: what a container makes below its own group is its own invention, and must
//! not let it pass for another pod.

use crate::message::Container;

/// Longest id of a container that is believed.
const MAX_ID_BYTES: usize = 128;

/// The container that `/proc/PID/cgroup` names, for cgroup v1, v2 and both at once; `None` for a
/// process of no pod. The id is empty when the process is in the pod's own group.
///
/// Of several hierarchies the one that says most is taken: with both versions mounted, the
/// kubelet uses only one of them.
pub fn container(proc_cgroup: &str) -> Option<Container> {
    let mut pod_alone = None;
    for line in proc_cgroup.lines() {
        // hierarchy:controllers:path; the path may hold colons.
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        match in_path(path) {
            Some(container) if container.id.is_empty() => pod_alone = pod_alone.or(Some(container)),
            None => {}
            found => return found,
        }
    }
    pod_alone
}

fn in_path(path: &str) -> Option<Container> {
    let mut parts = path.split('/');
    let (pod_uid, in_the_same_part) = parts.by_ref().find_map(|part| {
        // containerd with its own driver under a systemd kubelet writes `slice:runtime:id`.
        let (slice, rest) = part.split_once(':').unwrap_or((part, ""));
        Some((pod_uid(slice)?, rest.rsplit(':').next().unwrap_or_default()))
    })?;
    let part = if in_the_same_part.is_empty() {
        parts.next().unwrap_or_default()
    } else {
        in_the_same_part
    };
    Some(Container { pod_uid, id: container_id(part).unwrap_or_default() })
}

/// `pod<uid>`, or `kubepods-burstable-pod<uid with underscores>.slice`. The uid of a static pod is a
/// hash without dashes.
fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match name.rsplit_once("-pod") {
        Some((_, uid)) => uid,
        None => name.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    let dashes = uid.bytes().filter(|&byte| byte == b'-').count();
    let formed = matches!((uid.len(), dashes), (36, 4) | (32, 0));
    (formed && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')).then_some(uid)
}

/// `<id>`, or `<runtime>-<id>.scope`; `None` for the monitor that CRI-O runs beside a container.
fn container_id(part: &str) -> Option<String> {
    let id = match part.strip_suffix(".scope") {
        Some(scope) if scope.starts_with("crio-conmon-") => return None,
        Some(scope) => scope.rsplit('-').next()?,
        None => part,
    };
    let formed = (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    formed.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
    const ID: &str = "3f1c9a7be2d45806f1c9a7be2d4580613f1c9a7be2d45806f1c9a7be2d458061";

    /// Of a path on the v2 line: uid and id.
    fn of(path: &str) -> Option<(String, String)> {
        container(&format!("0::{path}\n")).map(|found| (found.pod_uid, found.id))
    }

    fn ours() -> (String, String) {
        (UID.to_owned(), ID.to_owned())
    }

    #[test]
    fn every_driver_runtime_and_class_is_understood() {
        let under = UID.replace('-', "_");
        let slice = format!("kubepods-burstable-pod{under}.slice");
        for path in [
            // cgroupfs: Burstable, BestEffort, Guaranteed, below a root of its own.
            format!("/kubepods/burstable/pod{UID}/{ID}"),
            format!("/kubepods/besteffort/pod{UID}/{ID}"),
            format!("/kubepods/pod{UID}/{ID}"),
            format!("/weir-cluster/kubepods/besteffort/pod{UID}/{ID}"),
            // systemd: containerd, CRI-O, cri-dockerd, Guaranteed, kind.
            format!("/kubepods.slice/kubepods-burstable.slice/{slice}/cri-containerd-{ID}.scope"),
            format!("/kubepods.slice/kubepods-burstable.slice/{slice}/crio-{ID}.scope"),
            format!("/kubepods.slice/kubepods-burstable.slice/{slice}/docker-{ID}.scope"),
            format!("/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{ID}.scope"),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{under}.slice/cri-containerd-{ID}.scope"
            ),
            // systemd kubelet, containerd with its own driver.
            format!("/system.slice/containerd.service/{slice}:cri-containerd:{ID}"),
            // Seen from another pod's own cgroup namespace.
            format!("/../../pod{UID}/{ID}"),
            // Groups that runtime or container made below.
            format!("/kubepods.slice/{slice}/crio-{ID}.scope/container"),
            format!("/kubepods/burstable/pod{UID}/{ID}/init.scope"),
        ] {
            assert_eq!(of(&path), Some(ours()), "{path}");
        }
    }

    #[test]
    fn a_container_cannot_name_another_pod_below_its_own_group() {
        let other = "ffffffff-0000-4000-8000-000000000000";
        let path = format!("/kubepods/burstable/pod{UID}/{ID}/kubepods/pod{other}/{ID}");
        assert_eq!(of(&path), Some(ours()));
    }

    #[test]
    fn a_static_pod_is_known_by_its_hash() {
        let hash = "0123456789abcdef0123456789abcdef";
        let found = of(&format!("/kubepods/burstable/pod{hash}/{ID}"));
        assert_eq!(found, Some((hash.to_owned(), ID.to_owned())));
    }

    #[test]
    fn what_is_no_container_has_no_id_or_no_pod() {
        let monitor = format!("/kubepods.slice/kubepods-pod{UID}.slice/crio-conmon-{ID}.scope");
        for path in [format!("/kubepods/pod{UID}"), monitor] {
            assert_eq!(of(&path), Some((UID.to_owned(), String::new())), "{path}");
        }
        for path in [
            "/",
            "/system.slice/nginx.service",
            "/user.slice/user-1000.slice/session-3.scope",
            "/machine.slice/libpod-3f1c.scope",
            "/kubepods/burstable",
            "/kubepods/podman",
            "/pod0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3cXX/3f1c",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn of_several_hierarchies_the_one_that_says_most_counts() {
        let text = format!(
            "12:pids:/kubepods/burstable/pod{UID}\n11:memory:/kubepods/burstable/pod{UID}/{ID}\n\
             1:name=systemd:/\n0::/system.slice/containerd.service\n"
        );
        let found = container(&text).map(|found| (found.pod_uid, found.id));
        assert_eq!(found, Some(ours()));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_formed_answer_or_none(text in "(.|\n|/|:|-pod|pod[0-9a-f]{32}|\\.slice|\\.scope){0,40}") {
            if let Some(found) = container(&text) {
                prop_assert!(matches!(found.pod_uid.len(), 32 | 36));
                prop_assert!(found.id.len() <= MAX_ID_BYTES);
                prop_assert!(!found.id.contains('/'));
            }
        }
    }
}
