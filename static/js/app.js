// Behaviour that every page shares. Each module listens on the document, so swapped-in content needs no set-up.
import "./keys.js";
import "./requests.js";
import "./places.js";
import "./toasts.js";
import "./results.js";
import "./checkout.js";
import "./draft.js";
import "./sessions.js";
