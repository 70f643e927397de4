//! Values of the command line.

use std::{fmt, str::FromStr, time::Duration};

use weir_replay::target::{Target, split_port};

/// When a recorded answer is given: this many times the time that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Timing(f64);

/// `--map PORT=[http://|https://]HOST[:PORT]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Map {
    pub(super) port: u16,
    pub(super) target: Target,
}

impl Timing {
    /// How long after its request the answer comes.
    pub(super) fn after(self, recorded: Duration) -> Duration {
        Duration::try_from_secs_f64(recorded.as_secs_f64() * self.0).unwrap_or(Duration::MAX)
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0.0 { f.write_str("none") } else { write!(f, "{}x", self.0) }
    }
}

impl FromStr for Timing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = match text {
            "none" => Some(0.0),
            "recorded" => Some(1.0),
            _ => text.strip_suffix('x').and_then(|factor| factor.parse().ok()),
        };
        let factor = factor.filter(|factor: &f64| (0.0..=1_000.0).contains(factor));
        factor.map(Self).ok_or_else(|| "use none, recorded, or a factor such as 5x".to_owned())
    }
}

impl FromStr for Map {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "use PORT=[http://|https://]HOST[:PORT], for example 8081=https://api.example";
        let (port, address) = text.split_once('=').ok_or(form)?;
        let port = port.parse().map_err(|_no_number| format!("the port {port:?}: {form}"))?;
        let (tls, rest) = match address.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(format!(
                    "{scheme:?} is neither http nor https: only HTTP is mocked so far"
                ));
            }
            None => (false, address),
        };
        let (host, said) = split_port(rest.strip_suffix('/').unwrap_or(rest));
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#[]".contains(c);
        if host.is_empty() || host.contains(odd) {
            return Err(format!("{host:?} is no host: {form}"));
        }
        let number = |said: &str| said.parse().ok().filter(|number| *number != 0);
        let target_port = match said {
            Some(said) => number(said).ok_or_else(|| format!("the port {said:?}: {form}"))?,
            None if tls => 443,
            None => 80,
        };
        Ok(Self { port, target: Target { tls, host: host.to_owned(), port: target_port } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_timings_are_read_or_refused() {
        let read =
            |text: &str| text.parse::<Map>().map(|map| format!("{} {}", map.port, map.target));
        assert_eq!(read("8081=https://api.example").unwrap(), "8081 https://api.example:443");
        assert_eq!(read("1=localhost:9000").unwrap(), "1 http://localhost:9000");
        assert_eq!(read("0=[::1]").unwrap(), "0 http://[::1]:80");
        for wrong in ["8081", "x=a", "1=", "1=postgres://a:5432", "1=a:0", "1=a/b", "70000=a"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let after = |text: &str| text.parse::<Timing>().map(|t| t.after(Duration::from_millis(20)));
        assert_eq!(after("none"), Ok(Duration::ZERO));
        assert_eq!(after("recorded"), Ok(Duration::from_millis(20)));
        assert_eq!(after("0.5x"), Ok(Duration::from_millis(10)));
        for wrong in ["", "x", "-1x", "NaNx", "infx", "5"] {
            assert!(after(wrong).is_err(), "{wrong}");
        }
    }
}
