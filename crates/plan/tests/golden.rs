//! Each file of `cases/` is compiled; the outcomes and the plan are kept beside it.
//! `INSTA_UPDATE=always` rewrites them.

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use weir_plan::{compile, manifest};

    #[test]
    fn cases_compile_to_their_plans() {
        insta::glob!("cases/*.yaml", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let file = manifest::File { name: "case", text: &text };
            let mut objects = manifest::read(&[file], "shop").unwrap().objects;
            objects.operator_namespace = text
                .lines()
                .find_map(|line| line.strip_prefix("# operator namespace: "))
                .map(str::to_owned);
            insta::assert_snapshot!(describe(&compile(&objects)));
        });
    }

    #[test]
    fn the_order_of_objects_changes_nothing() {
        let text = include_str!("cases/two-tenants.yaml");
        let mut documents: Vec<&str> = text.split("\n---\n").collect();
        let compiled = |documents: &[&str]| {
            let text = documents.join("\n---\n");
            let file = manifest::File { name: "case", text: &text };
            compile(&manifest::read(&[file], "shop").unwrap().objects)
        };
        let expect = compiled(&documents);
        for _ in 0..documents.len() {
            documents.rotate_left(1);
            assert_eq!(compiled(&documents), expect);
        }
    }

    #[test]
    fn a_plan_survives_its_document() {
        let text = include_str!("cases/full.yaml");
        let file = manifest::File { name: "case", text };
        let plan = compile(&manifest::read(&[file], "shop").unwrap().objects).plan;
        let document = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<weir_plan::Plan>(&document).unwrap(), plan);
        assert!(!plan.captures.is_empty() && !plan.exporters.is_empty());
    }

    #[test]
    fn no_secret_is_printed() {
        let text = include_str!("cases/full.yaml");
        let file = manifest::File { name: "case", text };
        let manifests = manifest::read(&[file], "shop").unwrap();
        let compiled = compile(&manifests.objects);
        assert!(serde_json::to_string(&compiled.plan).unwrap().contains("canary"));
        for text in [format!("{manifests:?}"), format!("{compiled:?}")] {
            assert!(!text.contains("canary"), "{text}");
        }
    }

    fn describe(compiled: &weir_plan::Compiled) -> String {
        let mut text = String::new();
        for outcome in &compiled.outcomes {
            let planned = if outcome.planned { "planned" } else { "not planned" };
            writeln!(text, "{} {}: {planned}", outcome.kind, outcome.key).unwrap();
            for rejection in &outcome.rejections {
                let (condition, reason) = (rejection.condition(), rejection.reason());
                writeln!(text, "  {condition}=False {reason}: {rejection}").unwrap();
            }
            for warning in &outcome.warnings {
                writeln!(text, "  warning: {warning}").unwrap();
            }
        }
        let mut plan = serde_json::to_value(&compiled.plan).unwrap();
        for exporter in plan["exporters"].as_array_mut().unwrap() {
            // The rule itself is tested in its crate.
            if let Some(id) = exporter["filter"].pointer("/rule/id").cloned() {
                exporter["filter"] = id;
            }
        }
        text + &serde_json::to_string_pretty(&plan).unwrap()
    }
}
