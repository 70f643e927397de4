//! Uprobes at the functions of TLS libraries. Loaded with the first library: who captures
//! nothing encrypted has none of it.

use std::path::Path;

use aya::programs::{
    UProbe,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLinkId, UProbeScope},
};
use weir_tlsprobe::{Function, ProbePlan, ResultSite};

use super::{Kernel, program, refused};
use crate::error::StartError;

const RESULT: &str = "tls_result";
const RETURN: &str = "tls_return";
const GO_RESULT: &str = "go_tls_result";
const PROGRAMS: [&str; 11] = [
    "tls_read",
    "tls_write",
    "tls_read_ex",
    "tls_write_ex",
    "tls_handshake",
    RESULT,
    RETURN,
    "go_tls_read",
    "go_tls_write",
    "go_tls_handshake",
    GO_RESULT,
];

/// A probe in one file, for every process that maps it, now or later.
#[derive(Debug)]
pub(crate) struct ProbeLink(&'static str, UProbeLinkId);

/// The program for a function's arguments; `None` where they tell nothing of plaintext.
fn begins(function: Function) -> Option<&'static str> {
    match function {
        Function::SslRead | Function::GnutlsRecordRecv => Some("tls_read"),
        Function::SslWrite | Function::GnutlsRecordSend => Some("tls_write"),
        Function::SslReadEx => Some("tls_read_ex"),
        Function::SslWriteEx => Some("tls_write_ex"),
        Function::SslHandshake | Function::GnutlsHandshake => Some("tls_handshake"),
        Function::GoRead => Some("go_tls_read"),
        Function::GoWrite => Some("go_tls_write"),
        Function::GoHandshake => Some("go_tls_handshake"),
        Function::SslSetFd | Function::GnutlsTransportSetInt2 => None,
    }
}

impl Kernel {
    /// Probes the file at `path` by its plan: all of it, or nothing.
    ///
    /// # Errors
    /// [`StartError::Kernel`].
    pub(crate) fn probe(
        &mut self,
        path: &Path,
        plan: &ProbePlan,
    ) -> Result<Vec<ProbeLink>, StartError> {
        self.load_probes()?;
        let mut links = Vec::new();
        // Handshakes last: the kernel side takes one that it sees for a sign that the rest is in place.
        let handshakes = |wanted| {
            plan.probes.iter().filter(move |probe| probe.function.is_handshake() == wanted)
        };
        for probe in handshakes(false).chain(handshakes(true)) {
            let Some(name) = begins(probe.function) else { continue };
            // The result first: a call under way has no arguments then, and is passed over.
            let results = match &probe.result {
                ResultSite::Branch(offset) => vec![(RESULT, *offset)],
                ResultSite::Returns(offsets) => {
                    offsets.iter().map(|offset| (GO_RESULT, *offset)).collect()
                }
                ResultSite::Uretprobe(_) => vec![(RETURN, probe.entry)],
                ResultSite::NotNeeded => Vec::new(),
            };
            for (name, offset) in results.into_iter().chain([(name, probe.arguments.offset)]) {
                match self.attach_probe(name, path, offset, plan.client_random) {
                    Ok(link) => links.push(link),
                    Err(error) => {
                        self.remove_probes(links);
                        return Err(error);
                    }
                }
            }
        }
        Ok(links)
    }

    fn load_probes(&mut self) -> Result<(), StartError> {
        if self.probes_loaded {
            return Ok(());
        }
        for name in PROGRAMS {
            let program: &mut UProbe = program(&mut self.programs, name)?;
            program
                .load()
                .map_err(|source| StartError::kernel(format!("load the program {name}"), source))?;
        }
        self.probes_loaded = true;
        Ok(())
    }

    fn attach_probe(
        &mut self,
        name: &'static str,
        path: &Path,
        offset: u64,
        client_random: Option<u32>,
    ) -> Result<ProbeLink, StartError> {
        let program: &mut UProbe = program(&mut self.programs, name)?;
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(offset),
            cookie: client_random.map(u64::from),
        };
        let link = program
            .attach(point, path, UProbeScope::AllProcesses)
            .map_err(|source| refused(name, source))?;
        Ok(ProbeLink(name, link))
    }

    /// Takes probes away.
    pub(crate) fn remove_probes(&mut self, links: Vec<ProbeLink>) {
        for ProbeLink(name, link) in links {
            let detached = program::<UProbe>(&mut self.programs, name)
                .and_then(|program| program.detach(link).map_err(|source| refused(name, source)));
            if let Err(error) = detached {
                tracing::warn!(name, %error, "could not take a probe away");
            }
        }
    }
}
