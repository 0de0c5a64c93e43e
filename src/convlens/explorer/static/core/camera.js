// A picture from the camera: a dialogue with what it sees, and a button that keeps it.

import { ApiError } from "./api.js";
import { h } from "./dom.js";
import { t } from "./text.js";

/** Whether there may be a camera: browsers offer one on this machine's own addresses only. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** Ask for a picture; null when it is called off. The camera is switched off in any case. */
export async function takePicture(signal) {
  const wish = { video: { facingMode: "environment", width: { ideal: 1280 } } };
  const stream = await navigator.mediaDevices.getUserMedia(wish).catch((error) => {
    throw new ApiError(`${t("controls.camera.refused")} (${error.name})`); // the shell says it above the page
  });
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  const video = h("video", { autoplay: true, muted: true, playsinline: true, "aria-label": t("controls.camera.seen") });
  video.srcObject = stream;
  return new Promise((resolve) => {
    const close = (picture) => {
      stop();
      dialog.close();
      dialog.remove();
      resolve(picture);
    };
    const keep = h("button", { type: "button", class: "plain", disabled: true, onclick: async () => close(await frame(video)) }, t("controls.camera.keep"));
    const cancel = h("button", { type: "button", class: "plain", onclick: () => close(null) }, t("controls.camera.cancel"));
    const dialog = h("dialog", { class: "camera", "aria-label": t("controls.camera.open") }, video, h("div", { class: "panel-end" }, keep, cancel));
    video.addEventListener("loadeddata", () => {
      keep.disabled = false;
    });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(null);
    });
    signal.addEventListener("abort", () => close(null), { once: true });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function frame(video) {
  const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
