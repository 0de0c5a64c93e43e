// The page where one drops a picture: sends it to /predict and shows the answer beside it.

export {}; // a module, whose names are its own

/** @type {(id: string) => any} */
const find = (id) => document.getElementById(id);
const make = (tag, text = "", name = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
};

const headers = () => {
  const token = find("token").value.trim();
  return token ? { Authorization: `Bearer ${token}` } : {};
};

const say = (text) => { find("message").textContent = text; };

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers() });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (response.headers.get("content-type") === "image/png") return response.blob();
  const answer = await response.json();
  if (response.status === 401) find("access").hidden = false;
  if (answer.error) throw new Error(`${answer.error} (${response.status})`);
  return answer;
}

async function introduce() {
  try {
    const info = await ask("/info");
    const shown = info.classes.slice(0, 12).join(", ") + (info.classes.length > 12 ? ", …" : "");
    find("network").textContent = `${info.network ?? "The network"} knows ${info.classes.length} classes: ${shown}`;
    say("");
  } catch (error) {
    find("network").textContent = "";
    say(error.message);
    if (find("access").hidden) setTimeout(introduce, 1000);
  }
}

function lines(classes) {
  const list = make("ol");
  for (const { label, probability } of classes) {
    const line = make("li");
    const bar = make("progress");
    bar.value = probability;
    bar.setAttribute("aria-label", label);
    line.append(make("span", label, "label"), make("span", `${(100 * probability).toFixed(2)} %`, "share"), bar);
    list.append(line);
  }
  return list;
}

function show(picture, blob, description) {
  picture.alt = description;
  picture.src = URL.createObjectURL(blob);
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => picture.remove();
}

// A button that shows where in the picture the network saw its first class.
function where(file, label, picture) {
  const button = make("button", `Where is ${label}?`);
  button.type = "button";
  button.addEventListener("click", async () => {
    button.disabled = true;
    const form = new FormData();
    form.append("file", file, "picture");
    try {
      const heat = await ask(`/explain?target=${encodeURIComponent(label)}`, { method: "POST", body: form });
      show(picture, heat, `The picture, hottest where the network saw ${label}`);
    } catch (error) {
      say(error.message);
      button.disabled = false;
    }
  });
  return button;
}

function card(file, prediction) {
  const article = make("article");
  const picture = make("img");
  show(picture, file, "");
  const text = make("div");
  text.append(make("h2", prediction.file));
  if (prediction.error) text.append(make("p", prediction.error, "wrong"));
  else text.append(lines(prediction.classes), where(file, prediction.classes[0].label, picture));
  article.append(picture, text);
  return article;
}

async function predict(files) {
  if (!files.length) return;
  say("");
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name || "picture");
  find("drop").setAttribute("aria-busy", "true");
  try {
    const { predictions } = await ask("/predict", { method: "POST", body: form });
    find("answers").prepend(...predictions.map((prediction, number) => card(files[number], prediction)));
  } catch (error) {
    say(error.message);
  } finally {
    find("drop").removeAttribute("aria-busy");
    find("files").value = "";
  }
}

const drop = find("drop");
find("files").addEventListener("change", () => predict([...find("files").files]));
document.addEventListener("paste", (event) => predict([...event.clipboardData.files]));
document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  predict([...event.dataTransfer.files]);
});
find("form").addEventListener("submit", (event) => event.preventDefault());
find("token").addEventListener("change", introduce);
introduce();
