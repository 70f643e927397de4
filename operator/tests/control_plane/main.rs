//! The operator as a process of its own against a real API server. Every request of it passes a
//! proxy that counts writes. `make test-operator` starts the server.

#[cfg(test)]
mod node;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod world;

#[cfg(test)]
mod faults;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod traces;
