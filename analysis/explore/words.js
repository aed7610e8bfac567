// The sentences of a setting: what words.py says, letter by letter.
const powerOf = (decades) =>
  "10" + String(Math.floor(decades + 0.5)).replace(/./g, (each) => (each === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[each]));
const counted = (steps) => `${steps} step${steps === 1 ? "" : "s"}`;

function times(change) {
  if (change >= 3) return `about ${powerOf(change)}`;
  return (10 ** change).toFixed(change < 1 ? 1 : 0);
}

const part = (change) => (change > -2 ? `${(100 * 10 ** change).toFixed(0)}% of` : `about ${powerOf(change)} of`);

function missed(error) {
  const percent = 100 * 10 ** error;
  if (error === -Infinity) return "nothing";
  if (Number.isNaN(error)) return "not known";
  if (error >= 3) return `${times(error)} times`;
  if (percent < 0.1) return "less than 0.1%";
  if (percent >= 99.5 && percent < 100) return "more than 99%";
  return `${percent.toFixed(percent < 9.95 ? 1 : 0)}%`;
}

function eachStep(decades) {
  const factor = 10 ** decades;
  if (decades >= 2) return `by a factor of ${times(decades)} per step`;
  if (factor >= 0.995 && factor < 1.005) return "by less than 0.5% per step";
  if (factor < 0.005) return "by a factor of less than 0.01 per step";
  return `by a factor of ${factor.toFixed(2)} per step`;
}

function wayBack({ length, norm }) {
  const [steps, change] = [length - 1, norm[0][length - 1]];
  if (steps === 0) return "with one step there is no way back";
  const way = `on its way back over ${counted(steps)}`;
  if (Number.isNaN(change)) return `how the gradient changes ${way} is not known`;
  if (change === -Infinity) return `nothing of the gradient is left ${counted(norm[0].indexOf(-Infinity))} back: it is exactly 0`;
  if (Math.abs(change) < 0.02) return `${way} the gradient keeps its size`;
  const [verb, much] = change > 0 ? ["grows", `${times(change)} times`] : ["shrinks", part(change)];
  return `${way} the gradient ${verb} to ${much} its size, ${eachStep(change / steps)}`;
}

const errorAt = ({ length, error }, window) => (window >= length ? -Infinity : error[0][window - 1]);

function whatIsMissed(setting, window) {
  if (window >= setting.length) return `A window of ${counted(window)} spans the whole sequence, and its gradient is exact`;
  const start = `window of ${window} of ${counted(setting.length)}`;
  const error = errorAt(setting, window);
  if (Number.isNaN(error)) return `What a ${start} misses of the gradient is not known`;
  if (error === -Infinity) return `A ${start} misses nothing of the gradient that rounding does not hide`;
  if (error >= 0) return `A ${start} is off by ${missed(error)}${error < 3 ? " of" : ""} the gradient, no better than no update`;
  return `A ${start} misses ${missed(error)} of the gradient`;
}

function whatIsNeeded({ length, sufficient }, tolerance) {
  const most = `at most ${Number((100 * tolerance).toPrecision(10))}%`;
  if (Number.isNaN(sufficient)) return `no shorter window is known to miss ${most}`;
  if (sufficient === length) return `to miss ${most} takes the whole sequence`;
  return `to miss ${most} takes a window of ${counted(sufficient)}`;
}

const sentences = (setting, window, tolerance) => [
  `${setting.name}, gain ${setting.gain}: ${wayBack(setting)}.`,
  `${whatIsMissed(setting, window)}; ${whatIsNeeded(setting, tolerance)}.`,
];

// A whole power of ten with its sign.
function exponent(change) {
  if (Number.isNaN(change)) return "?";
  if (!Number.isFinite(change)) return change < 0 ? "−∞" : "+∞";
  const whole = Math.floor(change + 0.5);
  return whole ? `${whole > 0 ? "+" : "−"}${Math.abs(whole)}` : "0";
}
