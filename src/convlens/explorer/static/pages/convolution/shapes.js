// Changing how many rows, columns, channels, filters and groups there are, keeping the numbers that still have a place.

/** What to set so that the example has another shape. */
export function resized(settings, { rows, columns, kernelRows, kernelColumns, channels, filters, groups }) {
  const [input, kernel] = [settings.get("input"), settings.get("kernel")];
  const now = {
    channels: channels ?? input.length,
    filters: filters ?? settings.get("filters"),
    groups: groups ?? settings.get("groups"),
  };
  const planes = (now.filters * now.channels) / now.groups;
  return {
    input: stretched(input, now.channels, rows ?? input[0].length, columns ?? input[0][0].length),
    kernel: stretched(kernel, planes, kernelRows ?? kernel[0].length, kernelColumns ?? kernel[0][0].length),
    filters: now.filters,
    groups: now.groups,
  };
}

/** New cells repeat the old ones; a new plane is the first one, turned, so that planes differ. */
function stretched(planes, count, rows, columns) {
  return Array.from({ length: count }, (_, index) => {
    const plane = planes[index] ?? turned(planes[0], index);
    return Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, column) => plane[row % plane.length][column % plane[0].length]));
  });
}

function turned(plane, times) {
  let result = plane;
  for (let i = 0; i < times % 4; i += 1) result = result[0].map((_, column) => result.map((line) => line[column]).reverse());
  return result;
}

/** Numbers of groups that divide both channel counts. */
export function divisors(channels, filters) {
  return [1, 2, 3, 4].filter((groups) => channels % groups === 0 && filters % groups === 0);
}
