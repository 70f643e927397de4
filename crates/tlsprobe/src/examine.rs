//! From a file to its plan.

use std::collections::BTreeSet;
use std::ops::Range;

use memchr::memmem;

use crate::code::Steps;
use crate::elf::{Image, Symbol};
use crate::go;
use crate::graph::Graph;
use crate::limits::{MAX_ARGUMENT_STEPS, MAX_PROBES};
use crate::plan::{
    Arguments, Cost, Found, Function, Library, Opaque, Probe, ProbePlan, ResultSite, Version,
    WhyUretprobe,
};
use crate::version;

/// Where the TLS functions of `elf`, a whole file, can be probed.
pub fn examine(elf: &[u8]) -> Result<ProbePlan, Opaque> {
    let image = Image::parse(elf)?;
    let mut seen = Seen::default();
    for symbol in image.symbols() {
        seen.note(&image, symbol);
    }
    if seen.probes.is_empty() && image.is_go() {
        let functions = go::functions(&image).into_iter();
        seen.probes
            .extend(functions.filter_map(|(function, range)| {
                go::probe(&image, function, Found::GoTable, range)
            }));
    }
    let go = |probe: &Probe| probe.function.is_go();
    if seen.probes.iter().any(go) && !go::suffice(&seen.probes) {
        seen.probes.retain(|probe| !go(probe));
    }
    if seen.probes.is_empty() {
        return Err(seen.opaque(&image));
    }
    let gnutls = seen.probes.iter().all(|probe| probe.function.is_gnutls());
    let library = match (gnutls, seen.probes.iter().all(go), seen.boringssl) {
        (true, ..) => Library::GnuTls,
        (_, true, _) => Library::Go,
        (.., true) => Library::BoringSsl,
        _ => Library::OpenSsl,
    };
    let version = version_of(&image, library);
    let client_random = seen.client_random;
    Ok(ProbePlan { library, version, probes: seen.probes, client_random })
}

fn version_of(image: &Image<'_>, library: Library) -> Option<Version> {
    let defined = image.definitions();
    // The newest definition: older ones stay in the file.
    let defined = defined.into_iter().filter_map(version::from_definition);
    let newest = defined.max_by_key(|version| (version.major, version.minor));
    match library {
        Library::GnuTls => newest,
        Library::OpenSsl => newest.or_else(|| image.texts().find_map(version::from_text)),
        Library::BoringSsl | Library::Go => None,
    }
}

/// Programs tell where they panicked by the path of a source file, also without symbols:
/// `/rustls-0.23.46/src/` is in that of rustls.
fn has_rustls(text: &[u8]) -> bool {
    const BEFORE: &[u8] = b"/rustls-";
    memmem::find_iter(text, BEFORE).any(|at| {
        let rest = text.get(at + BEFORE.len()..).unwrap_or_default();
        let digits = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
        let version = rest.iter().take(16).take_while(digits).count();
        version > 0 && rest.get(version..).is_some_and(|rest| rest.starts_with(b"/src/"))
    })
}

/// What the symbols tell.
#[derive(Default)]
struct Seen {
    probes: Vec<Probe>,
    boringssl: bool,
    client_random: Option<u32>,
    /// Why there may be nothing else.
    hints: BTreeSet<Opaque>,
}

impl Seen {
    fn note(&mut self, image: &Image<'_>, symbol: Symbol<'_>) {
        if let Some(function) = Function::from_symbol(symbol.name) {
            let Some(range) = symbol.range else {
                self.hint(Opaque::ImportsOnly, true);
                return;
            };
            let Some(entry) = image.offset(range.start) else { return };
            let known = |probe: &Probe| probe.function == function && probe.entry == entry;
            if self.probes.len() < MAX_PROBES && !self.probes.iter().any(known) {
                self.probes.extend(probe(image, function, symbol.found, range));
            }
            return;
        }
        if let Some(function) = Function::from_go(symbol.name) {
            if let Some(range) = symbol.range
                && self.probes.len() < MAX_PROBES
            {
                self.probes.extend(go::probe(image, function, symbol.found, range));
            }
            return;
        }
        match symbol.name {
            b"SSL_get_client_random" => {
                let found = || symbol.range.and_then(|range| offset_read(image, range));
                self.client_random = self.client_random.or_else(found);
            }
            b"JLI_Launch" | b"JNI_CreateJavaVM" => self.hint(Opaque::Java, true),
            b"SSL_CTX_set_custom_verify" | b"BORINGSSL_self_test" => {
                self.boringssl |= symbol.range.is_some();
            }
            // Imported or their own: none of these can be probed.
            b"SSL_ImportFD" | b"mbedtls_ssl_read" | b"wolfSSL_read" | b"s2n_recv" => {
                self.hint(Opaque::UnsupportedLibrary, true);
            }
            name if name.starts_with(b"_ZN") || name.starts_with(b"_R") => {
                self.hint(Opaque::UnsupportedLibrary, memmem::find(name, b"6rustls").is_some());
            }
            _ => {}
        }
    }

    fn hint(&mut self, why: Opaque, holds: bool) {
        if holds {
            self.hints.insert(why);
        }
    }

    fn opaque(&self, image: &Image<'_>) -> Opaque {
        let hinted = |why| self.hints.contains(&why);
        let reasons = [
            (image.has_more_symbols(), Opaque::TooLarge),
            (image.is_go(), Opaque::Go),
            (hinted(Opaque::Java), Opaque::Java),
            (hinted(Opaque::UnsupportedLibrary), Opaque::UnsupportedLibrary),
            (hinted(Opaque::ImportsOnly), Opaque::ImportsOnly),
        ];
        if let Some((_, reason)) = reasons.into_iter().find(|(holds, _)| *holds) {
            reason
        } else if image.texts().any(has_rustls) {
            Opaque::UnsupportedLibrary
        } else if image.is_static_and_stripped() {
            Opaque::StaticStripped
        } else {
            Opaque::NoTlsFunctions
        }
    }
}

/// The offset from its first argument that a function takes the address of.
fn offset_read(image: &Image<'_>, range: Range<u64>) -> Option<u32> {
    let (mut steps, mut address) = (Steps::new(), range.start);
    for _ in 0..MAX_ARGUMENT_STEPS {
        if !range.contains(&address) {
            return None;
        }
        let code = image.code(address)?;
        if let Some(offset) = Steps::offset_of_first_argument(code, address) {
            return Some(offset);
        }
        address = steps.decode(code, address)?.next;
    }
    None
}

/// `None` if the function's code is not in the file.
fn probe(image: &Image<'_>, function: Function, found: Found, range: Range<u64>) -> Option<Probe> {
    let entry = image.offset(range.start)?;
    // A symbol without a size still covers its first instruction.
    let range = range.start..range.end.max(range.start.checked_add(1)?);
    let graph = Graph::walk(image, range);
    let site = graph.argument_site(function.arguments()).and_then(|site| image.offset(site));
    let arguments = site.map_or(Arguments { offset: entry, cost: Cost::SingleStep }, |offset| {
        Arguments { offset, cost: Cost::Emulated }
    });
    let result = if function.result_matters() {
        let branch = graph.result_site();
        branch.map_or_else(ResultSite::Uretprobe, |site| {
            image
                .offset(site)
                .map_or(ResultSite::Uretprobe(WhyUretprobe::Undecodable), ResultSite::Branch)
        })
    } else {
        ResultSite::NotNeeded
    };
    Some(Probe { function, found, entry, arguments, result })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustls_is_known_by_the_paths_of_its_sources() {
        assert!(has_rustls(b"\0/index/rustls-0.23.46/src/conn.rs\0"));
        // Who looks for it has none of it.
        assert!(!has_rustls(b"/rustls-/src/"));
        assert!(!has_rustls(b"/rustls-0.23.46 is old"));
        assert!(!has_rustls(b"/rustls-"));
    }
}
