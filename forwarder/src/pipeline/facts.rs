//! What is known of a connection beside its bytes.

use std::{net::IpAddr, sync::Arc};

use weir_abi::Role;
use weir_dissect::TlsFacts;
use weir_rrpair::{Direction, Origin, Text};

use super::{CaptureSet, Identity};
use crate::{attribution::Workload, clock::WallClock};

/// Facts of one connection.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) id: u64,
    pub(crate) local: (IpAddr, u16),
    pub(crate) remote: (IpAddr, u16),
    /// As the kernel side saw it.
    pub(crate) role: Role,
    /// Monotonic times; 0 = not seen.
    pub(crate) established_ns: u64,
    pub(crate) first_seen_ns: u64,
    pub(crate) clock: WallClock,
    pub(crate) workload: Arc<Workload>,
    /// Control group of the process that used it first.
    pub(crate) cgroup_id: u64,
    /// The wire is TLS; what is recorded of it was read in the clear at a library.
    pub(crate) encrypted: bool,
    /// What its handshake told in the clear.
    pub(crate) tls: TlsFacts,
    /// Captures that want it if the workload is the server, or the client.
    pub(crate) as_server: Option<Arc<CaptureSet>>,
    pub(crate) as_client: Option<Arc<CaptureSet>>,
    /// Made with the first pair.
    pub(crate) origin: Option<Box<Origin>>,
}

impl Facts {
    pub(crate) const fn role(&self) -> Role {
        self.role
    }

    pub(crate) const fn clock(&self) -> WallClock {
        self.clock
    }

    /// The captures that want the connection, if the workload has this role in it. With an
    /// unknown one both sides' captures are given, and one that wants both sides once.
    pub(crate) fn captures(&self, role: Role) -> impl Iterator<Item = &Arc<CaptureSet>> {
        let server = (role != Role::Client).then_some(self.as_server.as_ref()).flatten();
        let client = (role != Role::Server).then_some(self.as_client.as_ref()).flatten();
        let same = server.zip(client).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
        server.into_iter().chain(client.filter(|_| !same))
    }

    /// The facts as records have them.
    pub(super) fn origin(&mut self, identity: &Identity, server: bool) -> &Origin {
        let Self { workload, clock, local, remote, .. } = self;
        let direction = if server { Direction::In } else { Direction::Out };
        let (client_end, server_end) = if server { (remote, local) } else { (local, remote) };
        self.origin.get_or_insert_with(|| {
            Box::new(Origin {
                cluster: identity.cluster.clone(),
                namespace: workload.namespace.clone(),
                service: workload.service.clone(),
                pod_name: workload.pod_name.clone(),
                app_label: workload.app_label.clone(),
                direction,
                connection_id: self.id,
                connection_start: clock.wall(self.first_seen_ns),
                established: (self.established_ns > 0).then(|| clock.wall(self.established_ns)),
                client: *client_end,
                server: *server_end,
                server_name: self.tls.server_name.clone(),
                is_tls: self.encrypted,
                alpn: self.tls.alpn.clone().map(Text::Owned),
                tls_version: self.tls.version,
                version: identity.version.clone(),
            })
        })
    }
}
