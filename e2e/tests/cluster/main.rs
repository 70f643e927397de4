//! Weir in a real cluster. `make e2e` brings the cluster up, installs Weir and runs this.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod records;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod tls;
