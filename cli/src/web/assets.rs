//! The page and its parts, inside the binary.

/// Path, media type and content.
pub(super) const ASSETS: [(&str, &str, &str); 12] = [
    ("/", "text/html; charset=utf-8", include_str!("../../web/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../../web/style.css")),
    ("/icon.svg", "image/svg+xml", include_str!("../../web/icon.svg")),
    ("/app.js", SCRIPT, include_str!("../../web/app.js")),
    ("/api.js", SCRIPT, include_str!("../../web/api.js")),
    ("/dom.js", SCRIPT, include_str!("../../web/dom.js")),
    ("/timeline.js", SCRIPT, include_str!("../../web/timeline.js")),
    ("/list.js", SCRIPT, include_str!("../../web/list.js")),
    ("/detail.js", SCRIPT, include_str!("../../web/detail.js")),
    ("/body.js", SCRIPT, include_str!("../../web/body.js")),
    ("/forms.js", SCRIPT, include_str!("../../web/forms.js")),
    ("/charts.js", SCRIPT, include_str!("../../web/charts.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";
