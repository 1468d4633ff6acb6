package org.chartlake;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import javax.crypto.AEADBadTagException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.crypto.KeyAccessDeniedException;
import org.apache.parquet.crypto.ParquetCryptoRuntimeException;
import org.apache.parquet.crypto.keytools.KmsClient;

/**
 * Opens Chartlake's Parquet segments: unwraps the data key in a segment's footer with the key that
 * the lake gave for that segment.
 *
 * <p>The access token ({@code parquet.encryption.key.access.token}) holds the segment keys as
 * {@code segment=base64,segment=base64,...}. They stay in memory; Spark shows no property with
 * "token" in its name. Segments are only read: nothing can be encrypted with this client.
 */
public final class SegmentKmsClient implements KmsClient {
  private static final byte[] PURPOSE =
      "chartlake parquet data key".getBytes(StandardCharsets.US_ASCII);
  private static final int NONCE_BYTES = 12;
  private static final int TAG_BITS = 128;

  private final Map<String, byte[]> keys = new HashMap<>();

  @Override
  public void initialize(
      Configuration configuration, String kmsInstanceId, String kmsInstanceUrl, String token) {
    for (String entry : token.split(",")) {
      int end = entry.indexOf('=');
      if (end > 0) {
        keys.put(entry.substring(0, end), Base64.getDecoder().decode(entry.substring(end + 1)));
      }
    }
  }

  @Override
  public String wrapKey(byte[] key, String masterKeyIdentifier) {
    throw new UnsupportedOperationException("Chartlake's segments are read, never written, here");
  }

  @Override
  public byte[] unwrapKey(String wrapped, String segment) {
    byte[] key = keys.get(segment);
    if (key == null) {
      throw new KeyAccessDeniedException(
          "There is no key for segment " + segment + ": read the lake again");
    }
    try {
      byte[] bytes = Base64.getDecoder().decode(wrapped);
      Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
      cipher.init(
          Cipher.DECRYPT_MODE,
          new SecretKeySpec(key, "AES"),
          new GCMParameterSpec(TAG_BITS, bytes, 0, NONCE_BYTES));
      cipher.updateAAD(PURPOSE);
      return cipher.doFinal(bytes, NONCE_BYTES, bytes.length - NONCE_BYTES);
    } catch (AEADBadTagException damaged) {
      throw new KeyAccessDeniedException("The key of segment " + segment + " does not fit");
    } catch (java.security.GeneralSecurityException failure) {
      throw new ParquetCryptoRuntimeException("Segment " + segment + " cannot be opened", failure);
    }
  }
}
