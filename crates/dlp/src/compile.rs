//! Policies → a redactor.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use weir_filter::{Filter, FilterSource};

use crate::act::{Act, ActId};
use crate::chain::{Chains, Condition, Conditions};
use crate::edit::{apply, settle};
use crate::engine::{At, Engine, FIRST_OWN_CATEGORY, Run};
use crate::finders::Finders;
use crate::keys::KeySet;
use crate::paths::{Path, PathFault};
use crate::pattern::Patterns;
use crate::policy::{Action, Chain, Detector, PolicySource, Profile, SecretKey, WhenUndecodable};

/// Compiled policies, ready to run on any thread. Equal policies redact alike, wherever.
#[derive(Debug)]
pub struct Redactor {
    pub(crate) engine: Engine,
    rule: String,
    hash: String,
    pub(crate) report: bool,
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CompileError {
    #[error("patterns[{index}] ({name}): {fault}")]
    Pattern { index: usize, name: String, fault: String },
    #[error("patterns: together they are larger than allowed: {fault}")]
    Patterns { fault: String },
    #[error("paths[{index}]: {path:?} {fault}")]
    Path { index: usize, path: String, fault: PathFault },
    #[error("keys[{index}]: a name is empty")]
    EmptyKey { index: usize },
    #[error("chains[{index}]: {fault}")]
    Chain { index: usize, fault: String },
    #[error("more than 64 chains")]
    TooManyChains,
    #[error("keys: together they are larger than allowed")]
    Keys,
    #[error("action KeyedToken needs a key")]
    KeyMissing,
    #[error("tests[{index}]: expected {expect:?}, got {got:?}")]
    Test { index: usize, expect: String, got: String },
    #[error("more than 255 different actions and keys")]
    TooManyActions,
}

impl PolicySource {
    /// Checks the policy by itself and runs its tests.
    ///
    /// # Errors
    ///
    /// [`CompileError`] for the first fault.
    pub fn check(&self) -> Result<(), CompileError> {
        for (index, pattern) in self.patterns.iter().enumerate() {
            Patterns::new(&[&pattern.regex], vec![(0, 0)]).map_err(|fault| {
                CompileError::Pattern { index, name: pattern.name.clone(), fault }
            })?;
        }
        let redactor = Redactor::compile(std::slice::from_ref(self))?;
        for (index, test) in self.tests.iter().enumerate() {
            let got = redactor.redact_text(&test.input);
            if got != test.expect {
                return Err(CompileError::Test { index, expect: test.expect.clone(), got });
            }
        }
        Ok(())
    }

    /// Names what the policy does: equal hashes redact alike. Tests and name do not count.
    ///
    /// # Panics
    ///
    /// Never: policies have a JSON form.
    pub fn hash(&self) -> String {
        let mut plain = Self { tests: Vec::new(), id: String::new(), secret: None, ..self.clone() };
        plain.detectors.sort_unstable();
        let json = serde_json::to_vec(&plain).expect("a policy has a JSON form");
        let mut digest = Sha256::new().chain_update(json);
        if let Some(SecretKey(key)) = &self.secret {
            // Too little of it to try keys against.
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes every key");
            mac.update(b"weir policy");
            digest.update(&mac.finalize().into_bytes()[..4]);
        }
        hex(&digest.finalize()[..8])
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every text");
        text
    })
}

impl Redactor {
    /// Merges policies: what one of them redacts is redacted, and where two meet the stricter
    /// action counts, so that none lowers another.
    ///
    /// # Errors
    ///
    /// [`CompileError`]; nothing may be exported then.
    pub fn compile(policies: &[PolicySource]) -> Result<Self, CompileError> {
        let mut acts: Vec<(Action, Option<&SecretKey>)> = Vec::new();
        for policy in policies {
            let secret = policy.secret.as_ref().filter(|_| policy.action == Action::KeyedToken);
            let act = (policy.action, secret);
            if !acts.contains(&act) {
                acts.push(act);
            }
        }
        // By the key too, so that no order of policies changes a result.
        acts.sort_by_key(|(action, key)| (*action, key.map(|key| key.0.as_slice())));
        let act_of = |policy: &PolicySource| {
            let place = acts.iter().position(|(action, key)| {
                *action == policy.action
                    && (*action != Action::KeyedToken || *key == policy.secret.as_ref())
            });
            place.and_then(|place| u8::try_from(place).ok()).ok_or(CompileError::TooManyActions)
        };
        let compiled: Option<Vec<Act>> =
            acts.iter().map(|(action, key)| Act::new(*action, *key)).collect();

        let mut merged = Merged::default();
        for policy in policies {
            merged.add(policy, act_of(policy)?)?;
        }
        let Merged {
            detectors,
            keys,
            expressions,
            pattern_acts,
            own_categories,
            paths,
            conditions,
            wanting,
            denials,
        } = merged;
        let patterns = (!expressions.is_empty())
            .then(|| Patterns::new(&expressions, pattern_acts))
            .transpose()
            .map_err(|fault| CompileError::Patterns { fault })?;
        Ok(Self {
            rule: rule(policies),
            hash: hash(policies),
            report: policies.iter().any(|policy| policy.report),
            engine: Engine {
                acts: compiled.ok_or(CompileError::KeyMissing)?,
                keys: KeySet::new(keys.into_iter()).ok_or(CompileError::Keys)?,
                finders: Finders::new(detectors),
                patterns,
                paths,
                conditions,
                wanting,
                denials,
                own_categories,
                remove_undecodable: policies
                    .iter()
                    .any(|policy| policy.when_undecodable == WhenUndecodable::RemoveBody),
            },
        })
    }

    /// `dlpRule` of the records that pass.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Names what the redactor does.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Redacts a text as if it were the body of a request.
    pub fn redact_text(&self, text: &str) -> String {
        let at = At::new("http", "http.req.body", Chains::NONE);
        let edits = settle(Run::new(&self.engine).bytes(at, b"", text.as_bytes()));
        String::from_utf8_lossy(&apply(text.as_bytes(), &edits)).into_owned()
    }
}

/// What all policies list.
#[derive(Default)]
struct Merged<'p> {
    detectors: [Option<ActId>; Detector::ALL.len()],
    keys: Vec<(&'p str, &'p str, Condition, ActId)>,
    expressions: Vec<&'p str>,
    pattern_acts: Vec<(ActId, u16)>,
    own_categories: Vec<String>,
    paths: Vec<(Path, Condition, ActId)>,
    conditions: Conditions,
    wanting: Vec<(usize, Condition, Vec<String>)>,
    denials: Vec<(Vec<Path>, ActId)>,
}

impl<'p> Merged<'p> {
    fn add(&mut self, policy: &'p PolicySource, act: ActId) -> Result<(), CompileError> {
        for detector in &policy.detectors {
            let slot = &mut self.detectors[*detector as usize];
            *slot = (*slot).max(Some(act));
        }
        for (index, key) in policy.keys.iter().enumerate() {
            if key.name.is_empty() {
                return Err(CompileError::EmptyKey { index });
            }
            self.keys.push((key.scope.as_str(), key.name.as_str(), Condition::Always, act));
        }
        for pattern in &policy.patterns {
            let category = u16::try_from(FIRST_OWN_CATEGORY + self.own_categories.len());
            self.pattern_acts.push((act, category.map_err(|_many| CompileError::TooManyActions)?));
            self.own_categories.push(pattern.name.to_ascii_uppercase());
            self.expressions.push(pattern.regex.as_str());
        }
        let mut places = Vec::new();
        for (index, path) in policy.paths.iter().enumerate() {
            let fault = |fault| CompileError::Path { index, path: path.clone(), fault };
            places.push(Path::parse(path).map_err(fault)?);
        }
        match policy.profile {
            Profile::Redact => {
                let places = places.into_iter().map(|path| (path, Condition::Always, act));
                self.paths.extend(places);
            }
            Profile::DenyByDefault => self.denials.push((places, act)),
        }
        for (index, chain) in policy.chains.iter().enumerate() {
            self.add_chain(index, chain, act)?;
        }
        Ok(())
    }

    fn add_chain(
        &mut self,
        index: usize,
        chain: &'p Chain,
        act: ActId,
    ) -> Result<(), CompileError> {
        let fault = |fault: String| CompileError::Chain { index, fault };
        let condition = match &chain.when {
            None => Condition::Always,
            Some(rule) => {
                let filter = Filter::new(&FilterSource::Rule(rule.clone()))
                    .map_err(|error| fault(error.to_string()))?;
                self.conditions.add(filter).ok_or(CompileError::TooManyChains)?
            }
        };
        if let Some(bodies) = &chain.wants_json {
            self.wanting.push((index, condition, bodies.clone()));
        }
        for path in &chain.paths {
            let place =
                Path::parse(path).map_err(|error| fault(format!("path {path:?} {error}")))?;
            self.paths.push((place, condition, act));
        }
        for key in &chain.keys {
            if key.name.is_empty() {
                return Err(fault("the name of a key is empty".to_owned()));
            }
            self.keys.push((key.scope.as_str(), key.name.as_str(), condition, act));
        }
        Ok(())
    }
}

/// Names of the policies, each once.
fn rule(policies: &[PolicySource]) -> String {
    let mut ids: Vec<&str> = Vec::new();
    for policy in policies {
        if !policy.id.is_empty() && !ids.contains(&policy.id.as_str()) {
            ids.push(&policy.id);
        }
    }
    ids.join(",")
}

/// Of one policy its own hash; of several one that does not depend on their order.
fn hash(policies: &[PolicySource]) -> String {
    let mut hashes: Vec<String> = policies.iter().map(PolicySource::hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    match hashes.as_slice() {
        [one] => one.clone(),
        several => hex(&Sha256::digest(several.join(","))[..8]),
    }
}

#[cfg(test)]
mod tests;
