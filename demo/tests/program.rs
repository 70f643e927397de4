//! Runs the space program without any capture: its own accounts have to agree with its list.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;

    use weir_demo::program::{Build, Ports, Program};
    use weir_demo::requests;

    /// A port that nobody uses now.
    fn free_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    }

    #[tokio::test]
    async fn every_request_is_answered_as_planned_and_every_call_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_gateway")).parent().unwrap();
        let ports = Ports { gateway: 0, outerspace: 0, telemetry: 0, database: free_port() };
        let mut program =
            Program::start(programs, folder.path(), ports, Build::Buggy).await.unwrap();
        assert_eq!(program.services().count(), 3);
        let said = program.drive().await.unwrap();
        let truth = program.stop().await.unwrap();

        let list = requests::list();
        assert_eq!(said, format!("sent {} requests", list.len()));
        assert_eq!(truth.driver.len(), list.len());
        let mut calls: BTreeMap<&str, u32> = BTreeMap::new();
        for call in &truth.gateway {
            *calls.entry(&call.id).or_default() += 1;
        }
        for exchange in &truth.driver {
            let number: usize = exchange.id.trim_start_matches("req-").parse().unwrap();
            let planned = &list[number - 1];
            assert_eq!(exchange.target, planned.target);
            assert_eq!(calls.remove(exchange.id.as_str()).unwrap_or_default(), planned.calls);
            // What the gateway relays comes through unchanged.
            let relayed = truth.gateway.iter().find(|call| call.id == exchange.id);
            if let Some(call) = relayed.filter(|call| call.target == exchange.target) {
                assert_eq!(call.request_body, exchange.request_body, "{}", exchange.id);
                assert_eq!(call.response_body, exchange.response_body, "{}", exchange.id);
            }
        }
        assert!(calls.keys().all(|id| id.starts_with("warm-")), "{calls:?}");
    }
}
