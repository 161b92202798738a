// What every page gets: each module adds one convenience; without scripts everything still works.
import { copyButtons } from "./copy.js";
import { countdowns } from "./countdown.js";
import { dialogs } from "./dialog.js";
import { keys } from "./keys.js";
import { live } from "./live.js";
import { palette } from "./palette.js";
import { selection } from "./select.js";
import { themes } from "./themes.js";

const menu = document.querySelector("details.menu");
const wide = matchMedia("(min-width: 900px)");
const fit = () => { if (menu) menu.open = wide.matches; };
wide.addEventListener("change", fit);
fit();

copyButtons();
countdowns();
dialogs();
themes();
const openPalette = palette();
const select = selection();
keys({ openPalette, select });
live();
