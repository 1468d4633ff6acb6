"""Operations beyond the RESTful interactions, one file each."""
