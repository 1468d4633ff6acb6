// SMART's JavaScript client (fhirclient) at work: request with paging, flattening and resolved
// references, patient-bound requests, create, update, patch, delete.
// Run with the FHIR base URL; exits 0 when everything that it is used for worked.
const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const smart = require('fhirclient');

const run = randomUUID().slice(0, 13);

async function main(serverUrl) {
  const api = smart({ headers: {}, url: '/', connection: {} }, {}, new Map());
  const client = api.client({ serverUrl });
  const patients = [];
  for (let n = 0; n < 4; n += 1) {
    patients.push(
      await client.create({
        resourceType: 'Patient',
        name: [{ family: `Js${run}`, given: [`Nr${n}`] }],
        gender: 'female',
      }),
    );
  }
  const [one] = patients;
  assert.equal((await client.update({ ...one, birthDate: '1999-09-09' })).meta.versionId, '2');
  const patched = await client.patch(`Patient/${one.id}`, [
    { op: 'replace', path: '/gender', value: 'male' },
  ]);
  assert.equal(patched.gender, 'male');

  for (let n = 0; n < 7; n += 1) {
    await client.create({
      resourceType: 'Observation',
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code: '8302-2' }] },
      subject: { reference: `Patient/${one.id}` },
      effectiveDateTime: `2024-03-0${n + 1}`,
      valueQuantity: { value: 170 + n, unit: 'cm', system: 'http://unitsofmeasure.org', code: 'cm' },
    });
  }
  const all = await client.request(`Observation?subject=Patient/${one.id}&_count=2`, {
    pageLimit: 0,
    flat: true,
  });
  assert.equal(all.length, 7);
  const pages = await client.request(`Observation?subject=Patient/${one.id}&_count=2`, {
    pageLimit: 2,
  });
  assert.deepEqual(pages.map((bundle) => bundle.entry.length), [2, 2]);
  const resolved = await client.request(`Observation/${all[0].id}`, {
    resolveReferences: ['subject'],
  });
  assert.equal(resolved.subject.id, one.id);
  assert.equal(client.units.cm(all[0].valueQuantity) >= 170, true);

  // A client bound to a patient looks into the CapabilityStatement for how to ask for hers.
  const bound = api.client({ serverUrl, tokenResponse: { patient: one.id } });
  assert.equal((await bound.patient.read()).id, one.id);
  const hers = await bound.patient.request('Observation');
  assert.equal(hers.total, 7);

  await client.delete(`Patient/${patients[3].id}`);
  await assert.rejects(client.request(`Patient/${patients[3].id}`), (failure) => {
    assert.equal(failure.status ?? failure.statusCode, 410);
    return true;
  });
  const left = await client.request(`Patient?name=Js${run}`);
  assert.equal(left.total, 3);
}

main(process.argv[2]).catch((failure) => {
  console.error(failure);
  process.exit(1);
});
