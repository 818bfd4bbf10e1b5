import { render } from "preact";
import { App } from "./app";
import { takeOverLinks } from "./router";
import "./style/tokens.css";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";

takeOverLinks();
const root = document.getElementById("app");
if (root) render(<App />, root);
