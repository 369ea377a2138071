// Says which results of the same are there already, from the answer of a check (null: unchecked).
const box = document.getElementById("duplicates");
const SHOWN = 10;

export function showDuplicates(checked) {
  const found = checked?.duplicates ?? [];
  box.hidden = found.length === 0;
  if (box.hidden) return box.replaceChildren();
  const who = checked.trial_count === 1 ? "This has" : `${checked.duplicate_count} of these have`;
  const parts = found.slice(0, SHOWN).flatMap((one, place) => {
    const link = document.createElement("a");
    link.href = one.page_url;
    link.textContent = `trial ${one.trial_id}`;
    return [place ? ", " : "", link, ` of ${one.owner}`];
  });
  box.replaceChildren(`${who} a result already: `, ...parts);
}
